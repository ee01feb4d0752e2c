"""`make policy` on previews of the project's own stacks by the embedded engine."""

import json
import subprocess

import pytest

from tests.e2e.project import SOURCE, Project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of this project with its own stacks, none of them deployed."""
    made = Project(tmp_path_factory.mktemp("policies") / "project")
    made.environment |= {"KUBECONFIG": str(made.root / "none"), "DOCKER_HOST": "unix:///none"}
    return made


@pytest.fixture
def check(project):
    """Preview a stack's file, changed, and check it; gives the exit code, what was told, and the preview."""

    def run(stack, *changes, configuration=None, key=""):
        text = (SOURCE / "stacks" / f"Pulumi.{stack}.yaml").read_text().replace("port: 6789", f"port: {project.port}")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        project.stack = stack
        (project.root / "stacks" / f"Pulumi.{stack}.yaml").write_text(text)
        assert project.engine("stack", "init", stack).code == 0
        if key:
            project.engine("config", "set", "--stack", stack, "--secret", "primaryKey", key)
        command = project.command("preview", "--stack", stack, "--json", "--show-sames")
        shown = subprocess.run(
            command, cwd=project.root, env=project.environment, capture_output=True, text=True, check=False
        ).stdout
        project.engine("stack", "rm", stack, "--yes", "--preserve-config")
        given = project.root / "configuration.json"
        given.write_text(json.dumps(configuration or {}))
        done = project.operate("policy", "--configuration", str(given), given=shown)
        return done.code, " ".join(done.text.split()), shown

    return run


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stack", ["local", "aks-gpu"])
def test_the_projects_stacks_violate_nothing(check, stack):
    code, told, _ = check(stack)
    assert code == 0, told
    assert "9 policies over " in told
    assert told.endswith("resources, 0 mandatory and 0 advisory violations"), told


def test_a_mandatory_violation_ends_with_one(check):
    code, told, shown = check("local", ('WORKER_COUNT: "1"', 'WORKER_COUNT: "1", API_TOKEN: a1b2c3d4'))
    assert code == 1
    assert "no-plain-secrets mandatory service-deployment-service (ProcessService) has a secret" in told
    assert "1 mandatory and 0 advisory violations" in told
    assert "a1b2c3d4" in shown  # the preview shows it: it is no secret to Pulumi
    assert "a1b2c3d4" not in told


def test_a_configured_level_makes_it_a_warning(check):
    code, told, _ = check("local", ("authEnabled: true", "authEnabled: false"), configuration={"keys-on": "advisory"})
    assert code == 0
    assert "keys-on advisory service-gateway-front-door (ProcessFrontDoor) serves whoever reaches it" in told


def test_a_key_of_ones_own_stays_hidden(check):
    key = "a-key-of-its-own-that-is-long-enough-0123456789"
    code, told, shown = check("local", key=key)
    assert code == 0, told
    assert '"primaryKey": "[secret]"' in shown
    assert key not in shown + told


def test_a_preview_that_fails_is_no_clean_bill(check):
    code, told, _ = check("local", ("path: model_repository", "path: nowhere"))
    assert code == 1
    assert told.startswith("the preview of stack 'local' failed, so nobody checked its policies: ")
    assert "nowhere" in told
    assert "Traceback" not in told


def test_a_mistake_in_the_configuration_is_told_without_a_traceback(check):
    code, told, _ = check("local", configuration={"keys": "advisory"})
    assert code == 1
    assert "'keys' is no rule; expected one of all, keys-on, tls-on-public-doors" in told
    assert "Traceback" not in told
