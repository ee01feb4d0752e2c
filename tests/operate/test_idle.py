"""Whether purge may remove everything: not while it would remove the only record of what is deployed."""

import json

import pytest

from operate import idle
from settings.schema import Settings
from targets.docker.service_folder import Folder, Record
from targets.errors import ServiceError
from targets.process.service_folder import ServiceDirectory

STACK = {"type": "pulumi:pulumi:Stack"}
PROVIDER = {"type": "pulumi:providers:kubernetes"}
SERVICE = {"type": "kubernetes:core/v1:Service"}


@pytest.fixture
def settings(tmp_path):
    """A stack's settings, in a project that has nothing but its state."""
    return Settings.model_validate({"models": ["m:1"]}, context=tmp_path)


@pytest.fixture
def stack(tmp_path):
    """Write a stack's checkpoint into the project's own backend."""

    def write(name, *resources):
        file = tmp_path / idle.BACKEND / "triton-serving" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        latest = {"resources": list(resources)} if resources else None
        file.write_text(json.dumps({"version": 3, "checkpoint": {"stack": name, "latest": latest}}))
        file.with_suffix(".json.bak").write_text("an older one")

    return write


def test_nothing_deployed_may_be_purged(settings, stack):
    assert idle.check(settings) == 0
    stack("empty")
    stack("destroyed", STACK, PROVIDER)
    assert idle.check(settings) == 0


def test_stacks_with_resources_are_named_wherever_they_run(settings, stack):
    stack("aks", STACK, PROVIDER, SERVICE, SERVICE)
    stack("local", STACK, SERVICE)
    with pytest.raises(
        ServiceError,
        match=r"from this folder: the stack 'aks' \(2 resources\), the stack 'local' \(1 resources\); destroy that "
        r"first: make destroy STACK=<stack>",
    ):
        idle.check(settings)


def test_services_without_a_stack_are_named(settings, tmp_path):
    ServiceDirectory.of(tmp_path / ".var", "web").claim("organization/p/prod", overwrite=False)
    with pytest.raises(ServiceError, match="the service 'web' of the stack organization/p/prod; destroy that first"):
        idle.check(settings)


def test_services_of_the_docker_engine_are_found_by_the_record_that_a_rollout_writes(settings, tmp_path):
    folder = Folder.of(tmp_path / ".var", "web")
    folder.write_record(Record(owner=f"organization/p/prod of {tmp_path}", generation=1))
    with pytest.raises(ServiceError, match="the service 'web' of the stack organization/p/prod; destroy that first"):
        idle.check(settings)
    assert idle.check(settings, besides="prod") == 0


def test_what_a_check_or_a_failed_first_rollout_left_is_no_service(settings, tmp_path):
    for folder in (tmp_path / ".var" / "docker" / "check", Folder.of(tmp_path / ".var", "web").logs):
        folder.mkdir(parents=True)
        (folder / "web-1-triton.log").write_text("E1125 no model")
    assert idle.check(settings) == 0
