"""Components that a plugin makes: `Construct`, and the plugin's registrations of what they are made of."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from engine.errors import EngineError
from engine.providers.proto import resource_pb2, resource_pb2_grpc
from engine.run.monitor import Monitor, Server
from engine.state.project import Project
from engine.state.values import OUTPUT, SIGNATURE
from tests.engine.conftest import TOKEN, Stack
from tests.engine.goals import CLI_ENVIRONMENT
from tests.engine.test_interchange import comparable
from tests.waiting import eventually

PULUMI = shutil.which("pulumi")
PAIR = "urn:pulumi:s::things::parts:index:Pair::pair"
FIRST = "urn:pulumi:s::things::parts:index:Pair$parts:index:Part::pair-first"
SECOND = "urn:pulumi:s::things::parts:index:Pair$parts:index:Part::pair-second"
NAMES = ("secrets", "resourceReferences", "outputValues", "transforms", "parameterization")
OWN = "urn:pulumi:s::things::parts:index:Part::own"


@pytest.fixture
def stack(stack: Stack) -> Stack:
    """The stack of a project to which `pulumi package add ./parts` was said."""
    name_parts(stack, {"parts": "./parts"})
    return stack


def name_parts(stack: Stack, packages: Any) -> None:
    project = {
        "name": "things",
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}},
        "packages": packages,
    }
    (stack.folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))


def resources(stack: Stack) -> dict[str, dict[str, Any]]:
    return {item["urn"]: item for item in stack.deployment().get("resources", [])}


def asked(stack: Stack) -> list[dict[str, Any]]:
    """The questions `Construct` that the plugin was asked."""
    return [json.loads(line) for line in (stack.folder / "constructs").read_text().splitlines()]


def test_a_plugin_makes_the_component_and_its_resources_by_one_process(stack: Stack) -> None:
    stack.declare(pair={"size": 1})
    stack.up()
    made = ["create pair-first", "create pair-second", "create after"]
    assert stack.calls() == ["start", "construct pair", *made]
    state = resources(stack)
    assert "provider" not in state[PAIR]
    assert state[PAIR]["custom"] is False
    assert state[PAIR]["outputs"] == {"size": 1, "label": "of pair-second"}
    assert state[FIRST]["parent"] == state[SECOND]["parent"] == PAIR
    assert state[FIRST]["provider"] == state["urn:pulumi:s::things::parts:index:Part::after"]["provider"]
    assert set(state["urn:pulumi:s::things::parts:index:Part::after"]["dependencies"]) == {PAIR, SECOND}
    assert stack.outputs()["label"] == "of pair-second"


def test_a_preview_and_its_update_share_the_process(stack: Stack) -> None:
    stack.declare(pair={"size": 1})
    stack.up()
    stack.calls()
    stack.declare(pair={"size": 2})
    result = stack.engine("up", "--yes")
    updates = ["update pair-first", "update pair-second"]
    assert stack.calls() == ["start", "construct pair dry", "construct pair", *updates]
    assert "goaway" not in result.out, "gRPC warns in the plugin when the preview's service ends too fast"


def test_it_is_unchanged_updated_and_destroyed_as_any_component(stack: Stack) -> None:
    stack.declare(pair={"size": 1})
    stack.up()
    stack.up("--refresh", "--expect-no-changes")
    stack.calls()
    stack.declare(pair={"size": 2})
    assert "pair-first updated [diff: size]" in stack.up().out
    assert stack.calls() == ["start", "construct pair", "update pair-first", "update pair-second"]
    assert resources(stack)[PAIR]["outputs"]["size"] == 2
    stack.engine("destroy", "--yes", "--skip-preview")
    assert stack.calls() == ["start", "delete after", "delete pair-second", "delete pair-first"]
    assert resources(stack) == {}


def test_a_renamed_component_keeps_what_it_is_made_of(stack: Stack) -> None:
    stack.declare(pair={"size": 1})
    stack.up()
    stack.calls()
    stack.declare(pair={"size": 1, "name": "other", "aliases": ["pair"]})
    stack.up()
    assert not [call for call in stack.calls() if call.startswith(("create", "delete"))]
    assert "urn:pulumi:s::things::parts:index:Pair$parts:index:Part::other-first" in resources(stack)
    assert FIRST not in resources(stack)


def test_a_preview_makes_nothing_and_shows_what_is_not_known_yet(stack: Stack) -> None:
    stack.declare(pair={"own": 1})
    before = stack.checkpoint.read_text()
    result = stack.engine("preview")
    assert "+ 6 to create" in result.out
    assert "label     : [unknown]" in result.out
    assert "first size: 1" in result.out
    assert stack.calls() == ["start", "construct pair dry"]
    assert stack.checkpoint.read_text() == before


def test_the_plugin_is_told_all_of_the_component(stack: Stack) -> None:
    stack.declare(pair={"own": 1, "secret": True, "protect": True})
    stack.up()
    (question,) = asked(stack)
    assert question.pop("monitorEndpoint").startswith("127.0.0.1:")
    assert question.pop("parallel") > 0
    assert question.pop("config")["things:token"] == TOKEN
    reference = {SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e", "urn": OWN, "id": "own"}
    assert question == {
        "project": "things",
        "stack": "s",
        "organization": "organization",
        "configSecretKeys": ["things:token"],
        "type": "parts:index:Pair",
        "name": "pair",
        "parent": "urn:pulumi:s::things::pulumi:pulumi:Stack::things-s",
        "inputs": {
            "size": {SIGNATURE: OUTPUT, "value": 1, "dependencies": [OWN]},
            "token": {SIGNATURE: OUTPUT, "value": TOKEN, "secret": True},
            "other": reference,
        },
        "inputDependencies": {"size": {"urns": [OWN]}, "token": {}, "other": {}},
        "dependencies": [OWN],
        "protect": True,
        "acceptsOutputValues": True,
    }
    assert resources(stack)[PAIR]["protect"] is True


def test_an_older_plugin_gets_bare_values_and_secrets(stack: Stack) -> None:
    stack.environment["PARTS_PLAIN"] = "1"
    stack.declare(pair={"own": 1, "secret": True})
    stack.up()
    (question,) = asked(stack)
    assert question["inputs"]["size"] == 1
    assert OUTPUT not in str(question["inputs"])
    assert "ciphertext" in resources(stack)[FIRST]["inputs"]["token"]


def test_secrets_and_references_come_back_as_they_went(stack: Stack) -> None:
    stack.declare(pair={"own": 1, "secret": True})
    result = stack.up()
    assert TOKEN not in result.out
    state = resources(stack)
    assert "ciphertext" in state[PAIR]["outputs"]["token"]
    assert "ciphertext" in stack.outputs()["pair token"]
    assert state[PAIR]["outputs"]["first"]["urn"] == FIRST
    assert state[FIRST]["inputs"]["other"] == "own"
    assert stack.outputs()["first size"] == 1
    assert "urn:pulumi:s::things::pulumi:providers:pulumi::default" in state, "it is what makes resources of references"
    stack.engine("refresh", "--yes", "--run-program")
    stack.up("--expect-no-changes")


def test_children_without_version_have_that_of_the_installed_sdk(stack: Stack) -> None:
    folder = stack.folder / "sdk/pulumi_parts"
    folder.mkdir(parents=True)
    (folder / "pulumi-plugin.json").write_text('{"resource": true, "name": "parts", "version": "1.2.3"}')
    stack.environment["PYTHONPATH"] += f":{folder.parent}"
    stack.declare(pair={"size": 1, "version": "1.2.3"})
    stack.up()
    provider = resources(stack)["urn:pulumi:s::things::pulumi:providers:parts::default_1_2_3"]
    assert provider["inputs"] == {"__internal": {}, "version": "1.2.3"}
    assert {item["provider"] for item in resources(stack).values() if "Part::" in item["urn"]} == {
        f"{provider['urn']}::{provider['id']}"
    }
    assert stack.calls().count("start") == 1


def test_a_provider_of_which_too_little_is_known_makes_a_component_without_content(stack: Stack) -> None:
    stack.declare(pair={"own": 1, "region": True})
    result = stack.engine("preview")
    assert "parts:index:Pair pair create" in result.out
    assert "pair-first" not in result.out
    assert "construct pair dry" not in stack.calls()
    stack.up()
    assert FIRST in resources(stack)
    stack.up("--expect-no-changes")


def test_a_mistake_that_the_component_finds_is_told_at_the_component(stack: Stack) -> None:
    stack.declare(pair={"size": 1, "fail": "construct"})
    result = stack.engine("up", "--yes", status=1)
    assert "pair creating failed" in result.out
    assert "error: pair: a pair cannot be made like this\n" in result.out
    assert 'File "' not in result.out + result.err
    assert resources(stack) == {}


def test_a_wrong_input_is_named(stack: Stack) -> None:
    stack.declare(pair={"slow": 0})
    result = stack.engine("preview", status=1)
    assert "error: pair: size: Missing required input 'size' on 'Pair'" in result.out


def test_a_bug_in_the_component_shows_where_it_is(stack: Stack) -> None:
    stack.declare(pair={"size": 1, "fail": "bug"})
    result = stack.engine("preview", status=1)
    assert "error: pair: 'nothing':" in result.out
    assert '{}["nothing"]' in result.out


def test_a_child_that_fails_is_told_once_and_the_next_update_goes_on(stack: Stack) -> None:
    stack.declare(pair={"size": 1, "fail": "create"})
    result = stack.up(status=1)
    assert result.out.count("pair-second: no create today") == 1
    assert result.out.count("error:") == 1
    assert "Traceback" not in result.out + result.err
    assert {PAIR, FIRST} <= resources(stack).keys()
    assert SECOND not in resources(stack)
    assert "pending_operations" not in stack.deployment()
    stack.declare(pair={"size": 1})
    stack.up()
    stack.up("--expect-no-changes")


def test_a_program_that_dies_meanwhile_ends_the_component_too(stack: Stack) -> None:
    stack.declare(pair={"size": 1, "slow": 1, "die": True})
    result = stack.up(status=1)
    assert result.out.count("error: The program ended with exit status 3.") == 1
    assert result.out.count("error:") == 1
    assert FIRST in resources(stack)
    assert SECOND not in resources(stack)
    assert "pending_operations" not in stack.deployment()
    stack.declare(pair={"size": 1, "slow": 1})
    stack.up()
    stack.up("--expect-no-changes")


def test_an_interrupt_reaches_the_plugin_and_nothing_more_is_made(stack: Stack) -> None:
    stack.declare(pair={"size": 1, "slow": 2})
    process = stack.start("up", "--yes", "--skip-preview")
    calls = stack.folder / "calls"
    eventually(lambda: calls.exists() and "create pair-first" in calls.read_text())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert "update canceled" in err
    assert "Traceback" not in out + err
    assert "cancel" in stack.calls()
    assert FIRST in resources(stack)
    assert SECOND not in resources(stack)
    assert "pending_operations" not in stack.deployment()


def test_a_missing_plugin_leaves_the_preview_a_component_and_fails_the_update(stack: Stack) -> None:
    name_parts(stack, {"parts": "github.com/someone/parts@1.2.3"})
    stack.declare(pair={"size": 1})
    assert "parts:index:Pair pair create" in stack.engine("preview").out
    result = stack.engine("up", "--yes", status=1)
    assert result.out.count("The provider plugin 'parts' is missing") == 1


def test_functions_are_refused_by_their_name(stack: Stack) -> None:
    stack.declare(pair={"size": 1, "invoke": "parts:index:measure"})
    result = stack.engine("preview", status=1)
    assert (
        result.out.count("calls the function 'parts:index:measure', which the embedded engine does not support.") == 1
    )


def test_an_older_sdk_learns_by_name_what_the_engine_can_do() -> None:
    nobody: Any = None
    monitor = Monitor(nobody, nobody, nobody, nobody, nobody, on_done=nobody, on_failed=nobody)
    server = Server(monitor)
    with grpc.insecure_channel(server.address) as channel:
        ask = resource_pb2_grpc.ResourceMonitorStub(channel).SupportsFeature
        can = {name for name in NAMES if ask(resource_pb2.SupportsFeatureRequest(id=name)).hasSupport}
    server.stop()
    assert can == {"secrets", "resourceReferences", "outputValues"}


@pytest.mark.parametrize("entry", ["./parts", {"source": "./parts"}, {"source": "../things/parts", "version": "1.2.3"}])
def test_a_package_is_found_by_its_path(stack: Stack, entry: Any) -> None:
    name_parts(stack, {"parts": entry, "random": "random@4.0.0", "far": {"source": "github.com/someone/far"}})
    project = Project.find(stack.folder, stack.environment)
    assert {name: Path(folder).resolve() for name, folder in project.provider_folders.items()} == {
        "parts": stack.folder / "parts"
    }


def test_packages_that_are_no_mapping_are_named(stack: Stack) -> None:
    name_parts(stack, ["parts"])
    with pytest.raises(EngineError, match=r"packages is \['parts'\]\. Expected folders by package"):
        Project.find(stack.folder, stack.environment)


@pytest.mark.skipif(PULUMI is None, reason="Pulumi's CLI is not on PATH")
@pytest.mark.parametrize("first", ["engine", "cli"])
def test_the_cli_and_the_engine_take_over_from_each_other(stack: Stack, first: str) -> None:
    assert PULUMI is not None
    stack.environment |= CLI_ENVIRONMENT
    made = []
    for number, pair in enumerate([{"own": 1, "secret": True}, {"own": 2, "secret": True}, {"size": 3}]):
        stack.declare(pair=pair)
        if (number % 2 == 0) == (first == "engine"):
            stack.up()
            stack.engine("preview", "--expect-no-changes", "--non-interactive", through=(PULUMI,))
        else:
            stack.engine("up", "--yes", "--skip-preview", "--non-interactive", through=(PULUMI,))
            stack.up("--refresh", "--expect-no-changes")
        made.append(comparable(stack.deployment()))
    assert made[0][PAIR]["outputs"]["label"] == "of pair-second"
    stack.engine("destroy", "--yes", "--skip-preview")
    for pair, expected in zip([{"own": 1, "secret": True}, {"own": 2, "secret": True}, {"size": 3}], made, strict=True):
        stack.declare(pair=pair)
        stack.up()
        assert comparable(stack.deployment()) == expected
