"""This engine and Pulumi's CLI take over from each other: against checkpoints of the CLI, and the CLI where it is."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.crypto import Crypter
from engine.values import SIGNATURE
from tests.engine.conftest import PASSPHRASE, Stack

DATA = Path(__file__).parent / "data"
RECORD = yaml.safe_load((DATA / "goals.yaml").read_text())
GOALS: list[dict[str, dict[str, Any]]] = RECORD["goals"]
PULUMI = shutil.which("pulumi")
NOT_COMPARED = {"created", "modified", "sourcePosition", "stackTrace"}


def comparable(deployment: dict[str, Any]) -> dict[str, Any]:
    """A deployment's resources by URN, secrets open, without times, random ids and where in the program they stand."""
    decrypt = Crypter(PASSPHRASE, deployment["secrets_providers"]["state"]["salt"]).decrypt
    ids = [item["id"] for item in deployment["resources"] if item["type"].startswith("pulumi:providers:")]

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            if "ciphertext" in value:
                return {SIGNATURE: "secret", "value": json.loads(decrypt(value["ciphertext"]))}
            return {key: clean(item) for key, item in value.items() if key not in NOT_COMPARED}
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, str):
            for id_ in ids:
                value = value.replace(id_, "<id>")
        return value

    assert "pending_operations" not in deployment
    resources = {item["urn"]: clean(item) for item in deployment["resources"]}
    assert len(resources) == len(deployment["resources"])
    for item in resources.values():  # a refresh by the CLI leaves out properties that depend on nothing
        item["propertyDependencies"] = {key: urns for key, urns in item.get("propertyDependencies", {}).items() if urns}
    return resources


def declare(stack: Stack, goal: dict[str, dict[str, Any]]) -> None:
    """The goal with the recorded salt and token."""
    stack.declare(copy.deepcopy(goal))
    settings = yaml.safe_load(stack.settings.read_text())
    settings["encryptionsalt"] = RECORD["encryptionsalt"]
    settings["config"]["things:token"] = RECORD["token"]
    stack.settings.write_text(yaml.safe_dump(settings, sort_keys=False))


def recorded(number: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / f"checkpoint-{number}.json").read_text())
    return document


def make_objects(stack: Stack, deployment: dict[str, Any]) -> None:
    """The files that the state's things are."""
    folder = stack.folder / "objects"
    folder.mkdir()
    for urn, item in comparable(deployment).items():
        if "test:Thing" in urn:
            (folder / item["id"]).write_text(json.dumps(plain(item["outputs"])))


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return value["value"] if SIGNATURE in value else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("number", range(1, len(GOALS) + 1))
def test_a_state_of_the_cli_is_taken_over_without_a_change(stack: Stack, number: int) -> None:
    document = recorded(number)
    declare(stack, GOALS[number - 1])
    stack.checkpoint.write_text(json.dumps(document))
    make_objects(stack, document["checkpoint"]["latest"])
    stack.up("--refresh", "--expect-no-changes")
    assert stack.calls() == []
    assert comparable(stack.deployment()) == comparable(document["checkpoint"]["latest"])


def test_the_states_of_both_are_equal_field_by_field(stack: Stack) -> None:
    for number, goal in enumerate(GOALS, 1):
        declare(stack, goal)
        stack.up()
        assert comparable(stack.deployment()) == comparable(recorded(number)["checkpoint"]["latest"]), number


def cli(stack: Stack, *command: str) -> None:
    """Runs the CLI on the stack, with nothing of its own from the network."""
    assert PULUMI is not None
    stack.environment |= {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
        "PULUMI_DISABLE_CI_DETECTION": "true",
    }
    stack.engine(*command, "--non-interactive", through=(PULUMI,))


@pytest.mark.skipif(PULUMI is None, reason="Pulumi's CLI is not on PATH")
@pytest.mark.parametrize("first", ["engine", "cli"])
def test_the_two_alternate_and_each_finds_nothing_to_do_after_the_other(stack: Stack, first: str) -> None:
    for number, goal in enumerate(GOALS, 1):
        declare(stack, goal)
        if (number % 2 == 1) == (first == "engine"):
            stack.up()
            cli(stack, "preview", "--expect-no-changes")
            cli(stack, "refresh", "--yes", "--skip-preview", "--expect-no-changes")
        else:
            cli(stack, "up", "--yes", "--skip-preview")
            stack.up("--refresh", "--expect-no-changes")
        assert comparable(stack.deployment()) == comparable(recorded(number)["checkpoint"]["latest"]), number


@pytest.mark.skipif(PULUMI is None, reason="Pulumi's CLI is not on PATH")
def test_exports_of_each_are_imported_by_the_other(stack: Stack) -> None:
    declare(stack, GOALS[0])
    stack.up()
    stack.engine("stack", "export", "--file", "engine.json")
    cli(stack, "stack", "import", "--file", "engine.json")
    cli(stack, "preview", "--expect-no-changes")
    cli(stack, "stack", "export", "--file", "cli.json", "--show-secrets")
    stack.engine("stack", "import", "--file", "cli.json")
    stack.up("--expect-no-changes")
    assert comparable(stack.deployment()) == comparable(recorded(1)["checkpoint"]["latest"])
