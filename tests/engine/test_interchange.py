"""This engine and Pulumi's CLI take over from each other: against checkpoints of the CLI, and the CLI where it is."""

from __future__ import annotations

import functools
import json
import shutil
from typing import Any

import pytest

from engine.state.checkpoint import read_deployment
from engine.state.crypto import Crypter
from engine.state.values import SIGNATURE
from tests.engine.conftest import PASSPHRASE, Stack
from tests.engine.goals import CLI_ENVIRONMENT, GOALS, PREVIEWS, declare, make_other, recorded

PULUMI = shutil.which("pulumi")
NOT_COMPARED = {"created", "modified", "sourcePosition", "stackTrace", "duration"}


@functools.cache
def crypter_of(salt: str) -> Crypter:
    """The crypter of a checkpoint's salt, whose key takes a quarter of a second to derive."""
    return Crypter(PASSPHRASE, salt)


def cleaned(value: Any, deployment: dict[str, Any]) -> Any:
    """The value with secrets open, without times, random ids and where in the program things stand."""
    decrypt = crypter_of(deployment["secrets_providers"]["state"]["salt"]).decrypt
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

    return clean(value)


def comparable(deployment: dict[str, Any], *, serial: bool = False) -> dict[str, Any]:
    """A deployment's resources by URN, in their order where there is but one; all is in order in any case."""
    read_deployment(3, deployment, lambda salt: crypter_of(salt).decrypt)  # refuses what is out of order
    assert "pending_operations" not in deployment
    resources = {item["urn"]: item for item in cleaned(deployment["resources"], deployment)}
    assert len(resources) == len(deployment["resources"])
    for item in resources.values():  # a refresh by the CLI leaves out properties that depend on nothing
        item["propertyDependencies"] = {key: urns for key, urns in item.get("propertyDependencies", {}).items() if urns}
    return {**resources, "order": list(resources)} if serial else resources


def make_objects(stack: Stack, deployment: dict[str, Any]) -> None:
    """The files that the state's things are."""
    folder = stack.folder / "objects"
    folder.mkdir()
    for urn, item in comparable(deployment).items():
        if "test:index:Thing" in urn:
            (folder / item["id"]).write_text(json.dumps(plain(item["outputs"])))


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return value["value"] if SIGNATURE in value else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("number", [number for number, goal in enumerate(GOALS, 1) if not goal.get("fails")])
def test_a_state_of_the_cli_is_taken_over_without_a_change(stack: Stack, number: int) -> None:
    document = recorded(f"checkpoint-{number}")
    if "reference" in GOALS[number - 1].get("config", {}):
        make_other(stack)
    declare(stack, GOALS[number - 1])
    stack.checkpoint.write_text(json.dumps(document))
    make_objects(stack, document["checkpoint"]["latest"])
    stack.up("--refresh", "--expect-no-changes")
    assert stack.calls() == []
    assert comparable(stack.deployment()) == comparable(document["checkpoint"]["latest"])


def test_the_states_of_both_are_equal_field_by_field(stack: Stack) -> None:
    make_other(stack)
    for number, goal in enumerate(GOALS, 1):
        declare(stack, goal)
        before = stack.deployment()
        if number in PREVIEWS:
            shown = json.loads(stack.engine("preview", "--json").out)
            was = recorded(f"checkpoint-{number - 1}")["checkpoint"]["latest"] if number > 1 else None
            assert digest(shown, before) == digest(recorded(f"preview-{number}"), was or before), number
        stack.up(status=1 if goal.get("fails") else 0)
        serial = goal.get("serial", False)
        expected = recorded(f"checkpoint-{number}")["checkpoint"]["latest"]
        assert comparable(stack.deployment(), serial=serial) == comparable(expected, serial=serial), number


def digest(document: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """A preview's document with its steps by resource and operation, for they are in no certain order."""
    shown: dict[str, Any] = cleaned(document, {"resources": [], **before})
    steps = {f"{step['op']} {step['urn']}": step for step in shown["steps"]}
    assert len(steps) == len(shown["steps"])
    return {**shown, "steps": steps}


def cli(stack: Stack, *command: str, status: int = 0) -> str:
    """Runs the CLI on the stack; what it prints."""
    assert PULUMI is not None
    stack.environment |= CLI_ENVIRONMENT
    return stack.engine(*command, "--non-interactive", through=(PULUMI,), status=status).out


@pytest.mark.skipif(PULUMI is None, reason="Pulumi's CLI is not on PATH")
@pytest.mark.parametrize("first", ["engine", "cli"])
def test_the_two_alternate_and_each_finds_nothing_to_do_after_the_other(stack: Stack, first: str) -> None:
    make_other(stack)
    for number, goal in enumerate(GOALS, 1):
        if goal.get("fails"):
            continue
        declare(stack, goal)
        if (number % 2 == 1) == (first == "engine"):
            stack.up()
            cli(stack, "preview", "--expect-no-changes")
            cli(stack, "refresh", "--yes", "--skip-preview", "--expect-no-changes")
        else:
            cli(stack, "up", "--yes", "--skip-preview")
            stack.up("--refresh", "--expect-no-changes")
        assert comparable(stack.deployment()) == comparable(recorded(f"checkpoint-{number}")["checkpoint"]["latest"])


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
    assert comparable(stack.deployment()) == comparable(recorded("checkpoint-1")["checkpoint"]["latest"])
