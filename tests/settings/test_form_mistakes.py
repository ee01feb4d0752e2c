"""Mistakes of form: each has the setting's full path, what is there, what was expected, and the nearest name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from settings.azure_names import AZURE_NAMES
from settings.form_mistakes import _paths
from settings.schema import Settings
from tests.settings.conftest import Check

A_MODEL = "expected a folder to register (path, name) or a registered model, as in 'triton_model:1'"
TABLE: list[tuple[dict[str, Any], str]] = [
    # unknown keys
    (
        {"deployment": {"gpuCore": 1}},
        "deployment.gpuCore has the value 1: there is no such setting; did you mean 'deployment.gpuCores'?",
    ),
    (
        {"deployment": {"auth_enabled": True}},
        "deployment.auth_enabled has the value true: there is no such setting; did you mean 'deployment.authEnabled'?",
    ),
    (
        {"service-name": "web"},
        "service-name has the value 'web': there is no such setting; did you mean 'serviceName'?",
    ),
    ({"port": 6789}, "port has the value 6789: there is no such setting; did you mean 'deployment.port'?"),
    (
        {"strategy": "surge"},
        "strategy has the value 'surge': there is no such setting; did you mean 'deployment.rollout.strategy'?",
    ),
    (
        {"tags": {"a": "b"}},
        """tags has the value {"a": "b"}: there is no such setting; did you mean 'models[].tags'?""",
    ),
    (
        {"environment": {"zzz": "x"}},
        "environment.zzz has the value 'x': there is no such setting; the settings here are name, clone, "
        "pipPackages, requirementsFile, lockDirectory, variables",
    ),
    (
        {"models": [{"path": "models", "name": "digits", "discription": "x"}]},
        "models[0].discription has the value 'x': there is no such setting; did you mean 'models[0].description'?",
    ),
    (
        {"deployment": {"rollout": {"drainSecond": 3}}},
        "deployment.rollout.drainSecond has the value 3: there is no such setting; did you mean "
        "'deployment.rollout.drainSeconds'?",
    ),
    # missing ones
    ({"models": [{"path": "models"}]}, "models[0].name: is required"),
    ({"tls": {"certificateFile": "tls.crt"}}, "tls.keyFile: is required"),
    (
        {"models": [{"path": "a\0b", "name": "digits"}]},
        "models[0].path has the value 'a\\x00b': expected a path of printable characters",
    ),
    (
        {"sourceDirectory": "x" * 256},
        f"sourceDirectory has the value '{'x' * 56}...: expected a path of at most 4,095 bytes, 255 between two '/'",
    ),
    # wrong types
    ({"deployment": {"port": "http"}}, "deployment.port has the value 'http': expected a whole number"),
    ({"deployment": {"gpuCores": 0.5}}, "deployment.gpuCores has the value 0.5: expected a whole number"),
    ({"deployment": {"gpuCores": True}}, "deployment.gpuCores has the value true: expected a number"),
    ({"deployment": {"cpuCores": "many"}}, "deployment.cpuCores has the value 'many': expected a number"),
    (
        {"deployment": {"cpuCores": float("inf")}},
        "deployment.cpuCores has the value Infinity: expected a finite number",
    ),
    ({"deployment": {"authEnabled": "maybe"}}, "deployment.authEnabled has the value 'maybe': expected true or false"),
    ({"entryScript": ["score.py"]}, """entryScript has the value ["score.py"]: expected text"""),
    ({"models": {"path": "models"}}, """models has the value {"path": "models"}: expected a list"""),
    ({"models": [3]}, f"models[0] has the value 3: {A_MODEL}"),
    ({"models": [None]}, f"models[0] has the value null: {A_MODEL}"),
    ({"models": ["digits"]}, f"models[0] has the value 'digits': {A_MODEL}"),
    ({"models": ["digits:0"]}, f"models[0] has the value 'digits:0': {A_MODEL}"),
    (
        {"models": [{"path": "models", "name": "digits", "tags": ["a"]}]},
        """models[0].tags has the value ["a"]: expected a mapping of names to values""",
    ),
    (
        {"environment": "My-Triton"},
        "environment has the value 'My-Triton': expected a group of name, clone, pipPackages, requirementsFile, "
        "lockDirectory, variables",
    ),
    ({"environment": {"pipPackages": "nltk"}}, "environment.pipPackages has the value 'nltk': expected a list"),
    ({"environment": {"pipPackages": [{}]}}, "environment.pipPackages[0] has the value {}: expected text"),
    (
        {"deployment": {"rollout": 5}},
        "deployment.rollout has the value 5: expected a group of strategy, deadlineSeconds, drainSeconds, replay, "
        "performance, steps, analysis, canaryTrafficPercent",
    ),
    # ranges and words
    ({"models": []}, "models has the value []: expected at least 1 in the list"),
    ({"models": [{"path": "", "name": "digits"}]}, "models[0].path has the value '': expected text that is not empty"),
    ({"deployment": {"port": 0}}, "deployment.port has the value 0: expected at least 1"),
    ({"deployment": {"port": 65536}}, "deployment.port has the value 65536: expected at most 65535"),
    ({"deployment": {"gpuCores": -1}}, "deployment.gpuCores has the value -1: expected at least 0"),
    ({"deployment": {"memoryGb": 0}}, "deployment.memoryGb has the value 0: expected a number above 0"),
    ({"deployment": {"scoringTimeoutMs": 0}}, "deployment.scoringTimeoutMs has the value 0: expected a number above 0"),
    (
        {"deployment": {"maxRequestsPerSecond": 0}},
        "deployment.maxRequestsPerSecond has the value 0: expected a number above 0",
    ),
    ({"keyRotation": {"primary": 0}}, "keyRotation.primary has the value 0: expected a number above 0"),
    (
        {"deployment": {"target": "proces"}},
        "deployment.target has the value 'proces': expected 'process', 'docker' or 'node-pool'",
    ),
    (
        {"deployment": {"rollout": {"strategy": "blue"}}},
        "deployment.rollout.strategy has the value 'blue': expected 'surge' or 'recreate'",
    ),
    *(
        (
            {"deployment": {"rollout": {"steps": [{"setWeight": 10, "pause": "1m"}], judge: {"maxSlowdown": 0.5}}}},
            f"deployment.rollout.{judge}.maxSlowdown has the value 0.5: expected at least 1",
        )
        for judge in ("performance", "analysis")
    ),
    (
        {"models": [{"path": "models", "name": "digits", "framework": "TensorFlow"}]},
        "models[0].framework has the value 'TensorFlow': expected 'Multi' or 'Custom'",
    ),
    (
        {"serviceName": "My_Service"},
        "serviceName has the value 'My_Service': expected 3 to 32 lower-case letters, digits and '-', starting with a "
        "letter and not ending with '-'",
    ),
    (
        {"models": [{"path": "models", "name": "a/b"}]},
        "models[0].name has the value 'a/b': expected up to 255 letters, digits, '_', '.' and '-', starting with a "
        "letter or digit",
    ),
    (
        {"environment": {"name": "../x"}},
        "environment.name has the value '../x': expected up to 63 letters, digits, '_', '.' and '-', starting with a "
        "letter or digit",
    ),
]


@pytest.mark.parametrize(("changes", "message"), TABLE, ids=[message.split(":")[0] for _, message in TABLE])
def test_a_mistake_is_told_with_path_value_and_expectation(
    mistakes: Check, changes: dict[str, Any], message: str
) -> None:
    assert mistakes(changes) == [message]


def test_all_mistakes_are_told_at_once_those_of_substance_too(mistakes: Check) -> None:
    changes = {
        "models": [{"path": "nowhere", "name": "digits"}, {"path": "models"}, "digits:1"],
        "entryScript": "scor.py",
        "deployment": {"gpuCores": 1, "port": 0, "publik": True},
        "environment": {"clone": "AzureML-Tritn"},
    }
    assert [mistake.split(":")[0] for mistake in mistakes(changes)] == [
        "models[1].name",
        "deployment.port has the value 0",
        "deployment.publik has the value true",
        "models[0].name has the value 'digits'",
        "models[0].path has the value 'nowhere'",
        "models[2].name has the value 'digits'",
        "environment.clone has the value 'AzureML-Tritn'",
        "entryScript has the value 'scor.py'",
        "deployment.gpuCores has the value 1",
    ]


def test_a_setting_that_cannot_be_read_is_not_blamed_twice(mistakes: Check) -> None:
    assert mistakes({"deployment": {"public": True, "maxRequestsPerSecond": 0}, "tls": {"keyFile": "tls.key"}}) == [
        "deployment.maxRequestsPerSecond has the value 0: expected a number above 0",
        "tls.certificateFile: is required",
    ]
    assert mistakes({"deployment": {"target": "nodepool", "gpuCores": 4}, "nodePool": {"numReplicas": 2}}) == [
        "deployment.target has the value 'nodepool': expected 'process', 'docker' or 'node-pool'"
    ]


@pytest.mark.parametrize("name", ["primaryKey", "primaryKy", "primary_key", "apiKey"])
def test_what_may_be_a_key_is_not_shown(mistakes: Check, name: str) -> None:
    found = mistakes({name: ["a-key-in-plain-text"]})
    assert found
    assert "a-key-in-plain-text" not in str(found)
    assert found[0].startswith(f"{name} has the value (secret): ")


def test_what_the_stacks_file_encrypts_is_not_shown(mistakes: Check) -> None:
    (found,) = mistakes({"deployment": {"cpuCores": "hidden-words"}}, secret=("deployment",))
    assert found.startswith("deployment: is encrypted, and only primaryKey, secondaryKey and imagePassword may be")
    (found,) = mistakes({"primaryKey": ["hidden-words"]}, secret=("primaryKey",))
    assert found == "primaryKey has the value (secret): expected text"


def test_what_is_encrypted_in_vain_is_told_with_the_fix(mistakes: Check) -> None:
    (found,) = mistakes({"environment": {"variables": {"TOKEN": "t"}}}, secret=("environment.variables.TOKEN",))
    assert found.startswith("environment.variables.TOKEN: is encrypted, and only primaryKey, ")
    assert found.endswith("put it into a file that the script reads, or use the machine's own identity")
    on_pool = {"deployment": {"target": "node-pool"}, "image": {"reference": "r.example.com/t@sha256:" + "a" * 64}}
    found = next(m for m in mistakes(on_pool, secret=("environment",)) if m.startswith("environment"))
    assert found.endswith("put it into a Kubernetes Secret and name that in nodePool.credentialsSecret")


@pytest.mark.parametrize(
    ("place", "name", "hint"),
    [
        ("", "cpuCores", "did you mean 'deployment.cpuCores'?"),
        ("", "numReplicas", "did you mean 'nodePool.numReplicas'?"),
        ("", "namespace", "did you mean 'nodePool.namespace'?"),
        ("deployment", "sslEnabled", "in place of Azure's sslEnabled there is tls.certificateFile and tls.keyFile"),
        ("deployment", "memoryInGB", "in place of Azure's memoryInGB there is deployment.memoryGb"),
        ("", "computeType", "in place of Azure's computeType there is deployment.target"),
        ("deployment", "tokenAuthEnabled", "in place of Azure's tokenAuthEnabled there is clients[].jwt"),
    ],
)
def test_a_name_of_another_place_leads_to_its_own(mistakes: Check, place: str, name: str, hint: str) -> None:
    (found,) = mistakes({place: {name: 1}} if place else {name: 1})
    assert found.endswith(f": there is no such setting; {hint}")


@pytest.mark.parametrize("name", ["primaryKey", "secondaryKey", "primary_key", "key", "keys"])
def test_a_key_given_to_a_client_leads_to_the_output(mistakes: Check, name: str) -> None:
    (found,) = mistakes({"clients": [{"name": "checkout"}, {"name": "nightly", name: "a-key-in-plain-text"}]})
    hint = "a client's keys are made, and in the output clientKeys; keyRotation has them made anew"
    assert found == f"clients[1].{name} has the value (secret): there is no such setting; {hint}"


def test_a_name_that_is_right_elsewhere_is_told_with_its_place(mistakes: Check) -> None:
    (found,) = mistakes({"deployment": {"entryScript": "score.py"}})
    assert found == (
        "deployment.entryScript has the value 'score.py': there is no such setting; entryScript stands by itself, in "
        "no group"
    )
    (found,) = mistakes({"deployment": {"entry_script": "score.py"}})
    assert found.endswith("did you mean 'entryScript', by itself, in no group?")


def test_azures_names_lead_to_settings_that_there_are() -> None:
    paths = set(_paths(Settings))
    for name, instead in AZURE_NAMES.items():
        assert name not in {path.rpartition(".")[2] for path in paths}
        named = re.findall(r"[a-z]\w*(?:\[\])?(?:\.\w+)+", instead)
        assert {path.partition(".variables")[0] for path in named} <= {*paths, "environment"}, instead


def test_a_long_value_is_cut(mistakes: Check) -> None:
    (found,) = mistakes({"deployment": {"cpuCores": "x" * 500}})
    assert len(found) < 150


@pytest.mark.parametrize("text", ["6790", "true", "2.5"])
def test_pulumis_configuration_is_text(settings_of: Any, text: str) -> None:
    setting = {"6790": "port", "true": "overwrite", "2.5": "memoryGb"}[text]
    assert (
        str(settings_of({"deployment": {setting: text}}).deployment.model_dump(by_alias=True)[setting]).lower() == text
    )
