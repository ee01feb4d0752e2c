"""Settings are read typed, from Pulumi's configuration or the stack's file, and whatever stands there is judged."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import EngineError
from engine.state.stack_file import StackFile, config_text, load_yaml
from settings import stack_reader as stack_files
from settings.errors import SettingsError
from settings.load import load, read_stack_file
from settings.schema import Framework, Model, RegisteredModelId, Settings, Target
from settings.stack_reader import file_of
from tests.settings.conftest import VALID, merged, mistakes_of

PROJECT = Path(__file__).resolve().parents[2]


def test_settings_have_azures_defaults(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of({})
    deployment = settings.deployment
    assert (deployment.target, deployment.port, deployment.auth_enabled) == (Target.PROCESS, 6789, True)
    assert (deployment.gpu_cores, deployment.cpu_cores, deployment.memory_gb, deployment.overwrite) == (0, 1, 4, False)
    assert settings.models[0].framework is Framework.MULTI
    assert settings.registry.written == ".var/registry"


def test_paths_are_absolute_and_keep_the_text_of_the_file(settings_of: Callable[..., Settings], project: Path) -> None:
    settings = settings_of({"stateDirectory": "../state"})
    (model,) = settings.models
    assert isinstance(model, Model)
    assert (model.path, model.path.written) == (str(project / "models"), "models")
    assert (settings.registry, settings.source_directory) == (str(project / ".var/registry"), str(project / "scripts"))
    assert settings.state_directory == f"{project}/../state"
    dumped = settings.model_dump(by_alias=True)
    assert (dumped["stateDirectory"], dumped["registry"]) == ("../state", ".var/registry")


def test_a_registry_by_its_url_stays_as_it_is(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of({"registry": "memory://models", "models": [{"path": "models", "name": "digits"}]})
    assert (settings.registry, settings.registry.is_folder) == ("memory://models", False)


def test_a_registered_model_is_named_with_its_version(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of({"models": ["digits:1", "other.model-2:1"]})
    assert settings.models == [
        RegisteredModelId.model_validate({"name": "digits", "version": 1}),
        RegisteredModelId.model_validate({"name": "other.model-2", "version": 1}),
    ]


def test_settings_do_not_change_once_they_are_read(settings_of: Callable[..., Settings]) -> None:
    with pytest.raises(ValidationError):
        settings_of({}).deployment.port = 1  # type: ignore[misc]


def test_keys_do_not_show_when_printed(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of({"primaryKey": "a-key-of-a-users-own"}, secret=("primaryKey",))
    assert "a-key-of-a-users-own" not in repr(settings)
    assert settings.primary_key is not None
    assert settings.primary_key.get_secret_value() == "a-key-of-a-users-own"


def test_numbers_are_taken_as_text_where_text_is_meant(settings_of: Callable[..., Settings]) -> None:
    settings = settings_of({"environment": {"variables": {"WORKER_COUNT": 2}}})
    assert settings.environment.variables == {"WORKER_COUNT": "2"}


def test_the_error_names_the_file_and_counts(project: Path) -> None:
    with pytest.raises(SettingsError) as one:
        load(merged(VALID, {"serviceName": "A"}), subject=file_of("prod"), project=project)
    assert str(one.value).startswith("stacks/Pulumi.prod.yaml has 1 mistake:\n  serviceName has the value 'A': ")
    with pytest.raises(SettingsError) as none:
        load({}, subject=file_of("prod"), project=project)
    assert str(none.value) == "stacks/Pulumi.prod.yaml has 1 mistake:\n  models: is required"


def stack_file(project: Path, text: str) -> None:
    """Write the file of the stack `prod` into a project."""
    (project / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\n")
    (project / "stacks").mkdir(exist_ok=True)
    (project / "stacks" / "Pulumi.prod.yaml").write_text(text)


def test_a_stacks_file_is_read_without_pulumi(project: Path) -> None:
    text = """\
encryptionsalt: v1:abc
config:
  pulumi:disable-default-providers: [docker]
  other-project:serviceName: nope
  triton-serving:serviceName: web-service
  triton-serving:models: ["digits:1"]
  triton-serving:deployment: {port: 7000}
  triton-serving:primaryKey: {secure: "v1:xyz"}
"""
    stack_file(project, text)
    settings = read_stack_file(project, "prod")
    assert (settings.service_name, settings.deployment.port, settings.primary_key) == ("web-service", 7000, None)


def test_a_stacks_file_is_read_as_pulumi_reads_it(project: Path) -> None:
    text = """\
config:
  serviceName: web-service
  models: ["digits:1"]
  triton-serving:description: {a: on, b: 1:30, c: 0755, d: yes, e: 2020-01-01, f: 0x1f, g: ~, h: 1e3, i: 0o17}
  entryScript:
"""
    stack_file(project, text)
    ours = stack_files.read(project, "prod").values
    assert ours["description"] == {
        "a": "on",
        "b": "1:30",
        "c": 493,
        "d": "yes",
        "e": "2020-01-01 00:00:00 +0000 UTC",
        "f": 31,
        "g": None,
        "h": 1000,
        "i": 15,
    }
    theirs = StackFile(project / "stacks" / "Pulumi.prod.yaml", "triton-serving").configuration(str).values
    assert {f"triton-serving:{name}": config_text(value) for name, value in ours.items()} == theirs


@pytest.mark.parametrize("form_alone", [False, True])
def test_an_encrypted_variable_is_refused_without_pulumi_too(project: Path, form_alone: bool) -> None:
    text = "config:\n  models: ['digits:1']\n  environment: {variables: {TOKEN: {secure: 'v1:a:b'}}}\n"
    stack_file(project, text)
    with pytest.raises(SettingsError, match=r"has 1 mistake:\n  environment\.variables\.TOKEN: is encrypted, and only"):
        read_stack_file(project, "prod", form_alone=form_alone)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"- a\n", "expected 'config:' with a name and a value for each setting below it"),
        (b"config: [a]\n", "expected 'config:' with a name and a value for each setting below it"),
        (b"config:\n  5: a\n", "expected a name for each setting under 'config', found 5"),
        (b"\xff\xfe", "is no UTF-8 text (byte 0)"),
    ],
)
def test_a_stacks_file_of_another_form_is_told(project: Path, content: bytes, wrong: str) -> None:
    stack_file(project, "")
    (project / "stacks" / "Pulumi.prod.yaml").write_bytes(content)
    (mistake,) = mistakes_of(lambda: read_stack_file(project, "prod"))
    assert str(mistake) == f"the file: {wrong}"


def test_a_stack_without_a_file_is_told_which_there_are(project: Path) -> None:
    stack_file(project, "")
    with pytest.raises(FileNotFoundError) as missing:
        read_stack_file(project, "live")
    assert str(missing.value) == "stack 'live' has no file stacks/Pulumi.live.yaml; the stacks are: prod"


@pytest.mark.parametrize("text", ["", "config:\n", "encryptionsalt: v1:abc\n"])
def test_an_empty_stacks_file_lacks_models(project: Path, text: str) -> None:
    stack_file(project, text)
    with pytest.raises(SettingsError, match="models: is required"):
        read_stack_file(project, "prod")


def test_a_stacks_file_that_is_no_yaml_is_told_with_its_line(project: Path) -> None:
    stack_file(project, "config:\n  a: [1,\n  b: 2\n")
    with pytest.raises(SettingsError, match=r"Pulumi\.prod\.yaml has 1 mistake:\n  the file: is no YAML: line \d+: "):
        read_stack_file(project, "prod")


def test_a_setting_below_what_pulumi_wrote_last_is_told_with_its_place(project: Path) -> None:
    added = "\n  triton-serving:clients:\n    - name: checkout\n"
    stack_file(project, f"config:\n  triton-serving:models: ['digits:1']\nencryptionsalt: v1:abc=:v1:d\n{added}")
    hint = (
        "mapping values are not allowed here; the line is indented below 'encryptionsalt' (line 3), which is no group: "
        "move it into its group, which is 'config' for settings"
    )
    (mistake,) = mistakes_of(lambda: read_stack_file(project, "prod"))
    assert str(mistake) == f"the file: is no YAML: line 5: {hint}"
    with pytest.raises(EngineError, match=re.escape(hint)):
        load_yaml(project / "stacks" / "Pulumi.prod.yaml")


@pytest.mark.parametrize("text", ["config:\n  a: b: c\n", "config:\n  a: x\n   b: y\n", "a: b: c\n"])
def test_another_misplaced_value_gets_no_hint(project: Path, text: str) -> None:
    stack_file(project, text)
    (mistake,) = mistakes_of(lambda: read_stack_file(project, "prod"))
    assert str(mistake).endswith(": mapping values are not allowed here")


@pytest.mark.parametrize("file", sorted((PROJECT / "stacks").glob("Pulumi.*.yaml")), ids=lambda file: file.name)
def test_every_stack_of_the_project_has_the_right_form(file: Path) -> None:
    found = mistakes_of(lambda: read_stack_file(PROJECT, file.name.split(".")[1]))
    # What this machine lacks, and a registry that only its user has, are no mistakes in the file.
    others = {
        "deployment.target",
        "deployment.gpuCores",
        "deployment.cpuCores",
        "deployment.memoryGb",
        "image.repository",
    }
    assert [str(mistake) for mistake in found if mistake.path not in others] == []


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_NAMES = st.sampled_from([str(field.alias) for field in Settings.model_fields.values()]) | st.text(max_size=10)
_TREES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=15
)


@hypothesis_settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.dictionaries(_NAMES, _TREES, max_size=5), nested=st.dictionaries(_NAMES, _TREES, max_size=3))
def test_whatever_stands_in_the_file_the_answer_is_settings_or_mistakes(
    project: Path, changes: dict[str, Any], nested: dict[str, Any]
) -> None:
    values = merged(VALID, {"deployment": nested, **changes})
    found = mistakes_of(lambda: load(values, subject=file_of("test"), project=project))
    assert all("\n" not in str(mistake) for mistake in found)
