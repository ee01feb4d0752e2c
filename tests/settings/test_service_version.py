"""A version of the service in place of what a stack's file says: what it decides, what stays, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.registry import Registry, RegistryError
from bundle.service_versions import Facts, ServiceVersion
from environment.source_archive import pack
from environment.source_digest import digest_of
from settings.errors import SettingsError
from settings.load import load, read_stack_file
from settings.schema import Settings
from settings.service_version import (
    CONTENT,
    LOCKS,
    SOURCE,
    StackId,
    VersionContent,
    VersionedModel,
    content_of,
    read_content,
    versions_of,
)
from settings.stack_reader import file_of
from settings.version_differences import differences, version_notes
from tests.settings.conftest import SCRIPT, VALID, merged

STACK = StackId("triton-serving", "test")
DIGITS = VersionedModel(name="digits", version=1, digest="sha256:1")
LOCK = "nltk==3.9.1 \\\n    --hash=sha256:0\n"
Keep = Callable[..., ServiceVersion]


@pytest.fixture
def keep(settings_of: Callable[..., Settings], tmp_path: Path) -> Keep:
    """Keep a version of the service with the valid settings and changes."""

    def keep(changes: dict[str, Any] | None = None, lock: str = LOCK, image: str = "") -> ServiceVersion:
        settings = settings_of(changes or {})
        content = content_of(settings, [DIGITS], image=image)
        content = content.model_copy(update={"locks": {"a.txt": hashlib.sha256(lock.encode()).hexdigest()}})
        files: dict[str, bytes | Path] = {CONTENT: content.to_bytes(), f"{LOCKS}/a.txt": lock.encode()}
        if settings.entry_script is not None:
            pack(Path(settings.source_directory), tmp_path / "kept.zip")
            files[SOURCE] = tmp_path / "kept.zip"
        return versions_of(settings, STACK).keep(files, Facts(by="ann@host"))

    return keep


@pytest.fixture
def deployed(project: Path) -> Callable[..., Settings]:
    """Load the valid settings with a version of the service and changes, as a stack's file gives them."""

    def deployed(version: int, changes: dict[str, Any] | None = None) -> Settings:
        values = merged(merged(VALID, {"deployment": {"version": version}}), changes or {})
        return load(values, subject=file_of("test"), project=project, stack=STACK)

    return deployed


def test_a_version_is_deployed_whole_whatever_the_file_and_the_disk_have_since(keep, deployed, project: Path) -> None:
    keep({"environment": {"variables": {"STYLE": "plain"}}, "deployment": {"cpuCores": 2, "scoringTimeoutMs": 1000}})
    digest = digest_of(project / "scripts")
    shutil.rmtree(project / "scripts")
    shutil.rmtree(project / "models")
    settings = deployed(1, {"entryScript": "other.py", "environment": {"pipPackages": ["spacy"]}})
    assert [str(DIGITS)] == [f"{model.name}:{model.version}" for model in settings.models]
    assert settings.entry_script == "score.py"
    assert digest_of(Path(settings.source_directory)) == digest
    assert (settings.environment.name, settings.environment.clone) == ("My-Triton", "AzureML-Triton")
    assert (settings.environment.pip_packages, settings.environment.variables) == (["nltk"], {"STYLE": "plain"})
    assert (Path(settings.environment.lock_directory or "") / "a.txt").read_text() == LOCK
    assert (settings.deployment.cpu_cores, settings.deployment.scoring_timeout_ms) == (2, 1000)


def test_the_settings_of_a_version_make_the_same_content(keep, deployed, settings_of) -> None:
    changes = {"environment": {"variables": {"STYLE": "plain", "API_KEY": "hush"}}, "deployment": {"memoryGb": 2}}
    version = keep(changes)
    settings = deployed(1, {"environment": {"variables": {"API_KEY": "other"}}, "deployment": {"cpuCores": 2}})
    kept = read_content(versions_of(settings, STACK), version)
    assert content_of(settings, [DIGITS]) == kept.model_copy(update={"locks": {}})


def test_what_a_version_does_not_decide_stays_the_stacks(keep, deployed) -> None:
    keep({"deployment": {"port": 7000, "rollout": {"deadlineSeconds": 1}}})
    changes = {"deployment": {"port": 8000, "rollout": {"deadlineSeconds": 99}, "maxRequestsPerSecond": 5}}
    settings = deployed(1, {**changes, "keyRotation": {"primary": 3}})
    deployment = settings.deployment
    assert (deployment.port, deployment.rollout.deadline_seconds, deployment.max_requests_per_second) == (8000, 99, 5)
    assert settings.key_rotation.primary == 3


def test_resources_that_the_version_left_to_their_defaults_are_no_demand(keep, deployed) -> None:
    keep()
    settings = deployed(1, {"deployment": {"memoryGb": 2}})
    assert "memory_gb" not in settings.deployment.model_fields_set


def test_a_version_without_a_script_serves_without_one(keep, deployed) -> None:
    keep({"entryScript": None})
    assert deployed(1).entry_script is None


def test_a_requirements_file_becomes_part_of_the_version(keep, deployed, project: Path) -> None:
    (project / "requirements.txt").write_text("sniffio\n")
    keep({"environment": {"requirementsFile": "requirements.txt"}})
    (project / "requirements.txt").unlink()
    settings = deployed(1)
    assert settings.environment.requirements_file is None
    assert settings.environment.pip_packages == ["sniffio", "nltk"]


SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "hush",
    "HF_TOKEN": "hush",
    "password": "hush",
    "STORE": "redis://:hush@host/0",
}


def test_a_version_has_the_names_of_secrets_and_takes_their_values_from_the_file(keep, deployed, project: Path) -> None:
    keep({"environment": {"variables": {**SECRETS, "STYLE": "plain", "MONKEY": "chimp"}}})
    kept = [file.read_bytes() for file in (project / ".var/registry/.services").rglob("*") if file.is_file()]
    assert not any(b"hush" in content for content in kept)
    now = dict.fromkeys(SECRETS, "new")
    settings = deployed(1, {"environment": {"variables": {**now, "STYLE": "fancy"}}})
    assert settings.environment.variables == {**now, "STYLE": "plain", "MONKEY": "chimp"}


def test_a_secret_that_the_file_lacks_is_told(keep, deployed) -> None:
    keep({"environment": {"variables": {"HF_TOKEN": "hush"}}})
    with pytest.raises(SettingsError) as told:
        deployed(1)
    assert [mistake.path for mistake in told.value.mistakes] == ["environment.variables.HF_TOKEN"]
    assert "version 1 has it, and no version keeps what may be a secret" in str(told.value)


@pytest.mark.parametrize(("kept", "expected"), [(0, "no version is kept yet"), (2, "expected one of 1, 2")])
def test_an_unknown_version_is_told_with_those_there_are(keep, deployed, kept: int, expected: str) -> None:
    for number in range(kept):
        keep({"deployment": {"cpuCores": number + 1}})
    with pytest.raises(SettingsError) as told:
        deployed(7)
    assert [mistake.path for mistake in told.value.mistakes] == ["deployment.version"]
    assert expected in str(told.value)


def test_a_damaged_version_is_told(keep, deployed, project: Path) -> None:
    keep()
    (project / ".var/registry/.services/triton-serving/test/triton-webservice/1/files/content.json").unlink()
    with pytest.raises(SettingsError, match=r"deployment\.version has the value 1: .*is missing"):
        deployed(1)


def test_a_version_of_another_release_is_told(settings_of, deployed) -> None:
    versions_of(settings_of({}), STACK).keep({CONTENT: b'{"models": [], "novelty": 1}'}, Facts(by="ann@host"))
    with pytest.raises(SettingsError, match="was kept by another release of this project"):
        deployed(1)


def test_a_pushed_image_is_deployed_by_its_digest_and_nothing_is_built(keep, deployed) -> None:
    image = f"registry.example/triton@sha256:{'0' * 64}"
    docker = {"deployment": {"target": "docker"}}
    keep({**docker, "image": {"repository": "registry.example/triton", "baseImage": "base:24.12-py3"}}, image=image)
    settings = deployed(1, {**docker, "image": {"repository": "registry.example/other"}})
    assert settings.image.model_dump(exclude_unset=True) == {"reference": image}


def test_an_image_that_was_not_pushed_is_built_again_on_its_base(keep, deployed) -> None:
    docker = {"deployment": {"target": "docker"}}
    keep({**docker, "image": {"baseImage": "base:24.12-py3"}})
    settings = deployed(1, {**docker, "image": {"baseImage": "base:25.01-py3", "repository": "registry.example/t"}})
    assert settings.image.model_dump(exclude_unset=True) == {
        "base_image": "base:24.12-py3",
        "repository": "registry.example/t",
    }


def test_a_version_of_one_target_is_deployed_on_another(keep, deployed) -> None:
    keep()
    assert deployed(1, {"deployment": {"target": "docker"}}).environment.pip_packages == ["nltk"]


def test_without_its_stack_nothing_takes_the_place_of_settings(keep, project: Path) -> None:
    (project / "Pulumi.yaml").write_text("name: triton-serving\n")
    (project / "stacks").mkdir()
    lines = [
        f"  triton-serving:{name}: {value}" for name, value in merged(VALID, {"deployment": {"version": 9}}).items()
    ]
    (project / file_of("test")).write_text("\n".join(["config:", *lines]))
    assert read_stack_file(project, "test", form_alone=True, with_version=False).deployment.version == 9
    with pytest.raises(SettingsError, match="no version is kept yet"):
        read_stack_file(project, "test", form_alone=True)


def test_the_note_says_what_goes_back_and_that_the_file_waits(keep, deployed, project: Path) -> None:
    keep({"environment": {"variables": {"STYLE": "plain"}}})
    (project / "scripts" / "score.py").write_text(f"{SCRIPT}# changed\n")
    keep({"deployment": {"memoryGb": 2}}, lock=LOCK.replace("3.9.1", "3.9.2"))
    (note,) = version_notes(deployed(1), STACK)
    assert note.startswith("deployment.version: version 1 of ")
    assert (
        "by ann@host in place of version 2: models the same, script changed, packages nltk 3.9.2 -> 3.9.1, "
        "variables +STYLE, settings -memoryGb; its models, script" in note
    )
    assert "goes forward" in note


def test_the_note_of_a_version_that_serves_already_compares_nothing(keep, deployed) -> None:
    keep()
    (note,) = version_notes(deployed(1), STACK)
    assert "by ann@host stays" in note


def test_there_is_no_note_without_a_version(settings_of) -> None:
    assert version_notes(settings_of({}), STACK) == []


def test_models_that_come_and_go_are_named(settings_of) -> None:
    versions = versions_of(settings_of({}), STACK)

    def kept(*models: VersionedModel) -> ServiceVersion:
        return versions.keep({CONTENT: content_of(settings_of({}), models).to_bytes()}, Facts(by="ann@host"))

    wine = VersionedModel(name="wine", version=4, digest="sha256:4")
    newer = VersionedModel(name="digits", version=2, digest="sha256:2")
    phrase, *_ = differences(versions, kept(DIGITS, wine), kept(newer))
    assert phrase == "models digits:1 -> digits:2, wine:4 -> none"


def test_the_registry_has_no_model_that_is_a_version(keep, project: Path) -> None:
    keep()
    with pytest.raises(RegistryError, match=r"is not registered in .*; expected one of digits, other\.model-2"):
        Registry(str(project / ".var/registry")).get("triton-webservice")


def test_content_is_read_as_it_was_written(settings_of) -> None:
    content = content_of(settings_of({"environment": {"variables": {"B": "1", "A": "2"}}}), [DIGITS])
    assert VersionContent.model_validate_json(content.to_bytes()) == content
