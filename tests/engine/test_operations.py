"""What operations do to resources, seen in the objects, the state and the order of the providers' calls."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.engine.conftest import TOKEN, Stack


def test_a_preview_changes_nothing_and_shows_what_is_not_known_yet(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": 1, "export": True}, "b": {"kind": "x", "from": "a"}})
    before = stack.checkpoint.read_text()
    result = stack.engine("preview")
    assert "+ 3 to create" in result.out
    assert "a     : [unknown]" in result.out
    assert stack.calls() == []
    assert stack.checkpoint.read_text() == before


def test_an_update_creates_in_order_of_dependencies_and_a_destroy_deletes_in_reverse(stack: Stack) -> None:
    stack.declare({"c": {"kind": "x"}, "b": {"kind": "x", "value": 1, "after": ["c"]}, "a": {"kind": "x", "from": "b"}})
    stack.up()
    assert stack.calls() == ["create c", "create b", "create a"]
    assert stack.objects() == {"a-x", "b-x", "c-x"}
    stack.engine("destroy", "--yes", "--skip-preview")
    assert stack.calls() == ["delete a", "delete b", "delete c"]
    assert stack.objects() == set()
    assert stack.deployment().get("resources") is None


def test_an_unchanged_program_changes_nothing(stack: Stack) -> None:
    stack.declare({"g": {"members": {"m": {"kind": "x", "value": [1, None, {"k": 1.5}]}}}})
    stack.up()
    before = stack.resources()
    assert "3 unchanged" in stack.up("--refresh", "--expect-no-changes").out
    assert stack.resources() == before
    stack.declare({"g": {"members": {"m": {"kind": "x", "value": 2}}}})
    assert "changes occurred" in stack.up("--expect-no-changes", status=7).err


def test_changes_update_in_place_and_pass_on_to_dependents(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": 1}, "b": {"kind": "x", "from": "a"}, "c": {"kind": "x"}})
    stack.up()
    stack.calls()
    stack.declare({"a": {"kind": "x", "value": 2}, "b": {"kind": "x", "from": "a"}, "c": {"kind": "x"}})
    result = stack.up("--diff")
    assert stack.calls() == ["update a", "update b"]
    assert "value: 1 => 2" in result.out
    assert stack.resources()["b"]["outputs"]["echo"] == 2


def test_a_tainted_resource_is_replaced_and_the_state_keeps_its_version_until_then(stack: Stack) -> None:
    """The CLI's `state taint` marks a resource and raises the checkpoint's version."""
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x"}})
    stack.up()
    stack.calls()
    document = json.loads(stack.checkpoint.read_text())
    for item in document["checkpoint"]["latest"]["resources"]:
        if item["urn"].endswith("::a"):
            item["taint"] = True
    stack.checkpoint.write_text(json.dumps({**document, "version": 4, "features": ["taint"]}))
    assert "1 to replace" in stack.engine("preview").out
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x", "value": 1}})
    stack.engine("stack", "export", "--file", "exported.json")
    stack.engine("stack", "import", "--file", "exported.json")
    exported = json.loads((stack.folder / "exported.json").read_text())
    assert (exported["version"], exported["features"]) == (4, ["taint"])
    stack.engine("refresh", "--yes", "--skip-preview")
    kept = json.loads(stack.checkpoint.read_text())
    assert (kept["version"], kept["features"]) == (4, ["taint"])
    stack.up()
    assert sorted(stack.calls()) == ["create a", "delete a", "update b"]
    after = json.loads(stack.checkpoint.read_text())
    assert after["version"] == 3
    assert "features" not in after
    assert "taint" not in stack.resources()["a"]


def test_a_replacement_is_created_before_the_old_is_deleted(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    stack.declare({"a": {"kind": "y"}})
    stack.up()
    assert stack.calls() == ["create a", "create a", "delete a"]
    assert stack.objects() == {"a-y"}


def test_delete_before_replace_takes_dependents_along(stack: Stack) -> None:
    things: dict[str, dict[str, Any]] = {"a": {"kind": "x", "value": 1}, "b": {"kind": "x", "source": "a"}}
    stack.declare(things)
    stack.up()
    stack.calls()
    stack.declare({**things, "a": {"kind": "y", "value": 1, "delete_before_replace": True}})
    stack.up()
    assert stack.calls() == ["delete b", "delete a", "create a", "create b"]
    assert stack.objects() == {"a-y", "b-x"}


def test_options_that_hold_changes_back_are_respected(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": 1, "ignore": ["value"]}, "b": {"kind": "x", "retain": True}})
    stack.up()
    stack.calls()
    stack.declare({"a": {"kind": "x", "value": 2, "ignore": ["value"]}})
    assert " b delete[retain]\n" in stack.engine("preview").out
    assert " b deleted[retain]\n" in stack.engine("up", "--yes").out
    assert stack.calls() == []
    assert stack.resources()["a"]["outputs"]["value"] == 1
    assert stack.objects() == {"a-x", "b-x"}


def test_a_renamed_component_keeps_its_children(stack: Stack) -> None:
    stack.declare({"g": {"members": {"m": {"kind": "x"}}}})
    stack.up()
    stack.calls()
    stack.declare({"h": {"members": {"m": {"kind": "x"}}, "aliases": ["g"]}})
    stack.up()
    assert set(stack.resources()) == {"h", "h-m"}
    assert not [call for call in stack.calls() if not call.startswith("update")]


def test_a_renaming_that_fails_half_way_is_gone_on_with(stack: Stack) -> None:
    stack.declare({"g": {"members": {"m": {"kind": "x", "value": 1}}}, "a": {"kind": "x"}})
    stack.up()
    stack.calls()
    renamed: dict[str, dict[str, Any]] = {
        "h": {"members": {"m": {"kind": "x", "value": 2, "fail": "update"}}, "aliases": ["g"]},
        "b": {"kind": "y", "aliases": ["a"], "fail": "create"},
    }
    stack.declare(renamed)
    stack.up(status=1)
    del renamed["h"]["members"]["m"]["fail"]
    del renamed["b"]["fail"]
    stack.declare(renamed)
    stack.up()
    assert set(stack.resources()) == {"h", "h-m", "b"}
    assert stack.objects() == {"g-m-x", "b-y"}


def test_secrets_are_encrypted_in_state_and_hidden_in_output(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": f"in the clear: {TOKEN}", "secret": True, "export": True}})
    result = stack.up()
    assert TOKEN not in result.out
    assert "ciphertext" in stack.resources()["a"]["outputs"]["token"]
    assert stack.engine("stack", "output", "token").out == "[secret]\n"
    assert stack.engine("stack", "output", "token", "--show-secrets").out == f"{TOKEN}\n"


def test_a_refresh_finds_what_changed_outside(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": 1, "export": True}, "b": {"kind": "x"}})
    stack.up()
    path = stack.folder / "objects/a-x"
    path.write_text(json.dumps({**json.loads(path.read_text()), "value": 2, "echo": "other"}))
    (stack.folder / "objects/b-x").unlink()
    result = stack.engine("refresh", "--yes", "--run-program")
    assert "~ 1 updated" in result.out
    assert "- 1 deleted" in result.out
    assert stack.outputs()["a"] == "other"
    stack.up()
    assert stack.objects() == {"a-x", "b-x"}
    assert json.loads(path.read_text())["value"] == 1


def test_another_stacks_outputs_stay_secret(stack: Stack) -> None:
    stack.up()
    stack.engine("stack", "init", "t")
    (stack.folder / "Pulumi.t.yaml").write_text(
        stack.settings.read_text() + "  things:reference: organization/things/s\n"
    )
    stack.up("--stack", "t")
    output = stack.engine("stack", "output", "--json", "--stack", "t")
    assert json.loads(output.out)["seen"] == "[secret]"
    output = stack.engine("stack", "output", "seen", "--show-secrets", "--stack", "t")
    assert output.out == f"{TOKEN}\n"
    digest = json.loads(stack.engine("preview", "--json", "--stack", "t").out)
    assert [step["op"] for step in digest["steps"]] == ["same", "read"]
    result = stack.engine("destroy", "--yes", "--skip-preview", "--stack", "t")
    assert "StackReference" not in result.out
    assert "- 1 deleted" in result.out, "a reference is forgotten, not deleted"


def test_a_preview_does_without_a_missing_plugin_and_an_update_names_it(stack: Stack) -> None:
    stack.declare(item={"size": 1})
    result = stack.engine("preview", "--diff")
    assert "fake:index:Item item create" in result.out
    assert "size: 1" in result.out
    result = stack.engine("up", "--yes", status=1)
    assert result.out.count("The provider plugin 'fake' is missing") == 1
    assert stack.deployment().get("resources") is None


@pytest.mark.parametrize("place", ["PATH", "PULUMI_HOME"])
def test_a_plugin_is_used_where_it_is(stack: Stack, place: str) -> None:
    if place == "PATH":
        stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    else:
        target = stack.folder / "home/plugins/resource-fake-v1.0.0"
        target.parent.mkdir(parents=True)
        (stack.folder / "plugin").rename(target)
    stack.declare(item={"size": 1})
    with stack.settings.open("a") as settings:
        settings.write("  fake:region: here\n")
    stack.up()
    assert stack.outputs()["region"] == "here"


def test_a_plugin_checks_and_compares(stack: Stack) -> None:
    stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    stack.declare(item={"bad": 1})
    assert "item: bad: is bad" in stack.engine("preview", status=1).out
    stack.declare(item={"size": 1})
    stack.up()
    stack.declare(item={"size": 2})
    assert "item updated [diff: size]" in stack.up().out
    stack.declare(item={"size": 2, "fixed": True})
    assert "+- 1 replaced" in stack.up().out


def test_a_replaced_provider_deletes_what_it_had_made(stack: Stack) -> None:
    stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    stack.declare(item={"size": 1}, provider={"region": "here"})
    stack.up()
    stack.declare(item={"size": 1}, provider={"region": "there"})
    assert "+- 2 replaced" in stack.up().out
    assert stack.outputs()["region"] == "there"
    assert not [item for item in stack.deployment()["resources"] if item.get("delete")]
    stack.up("--refresh", "--expect-no-changes")


def test_a_refresh_warns_of_what_is_not_ready_and_the_next_update_sees_to_it(stack: Stack) -> None:
    stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    stack.declare(item={"size": 1, "unready": True})
    assert "item: it is not ready" in stack.up(status=1).out
    result = stack.engine("refresh", "--yes")
    assert "warning: item: Refreshed resource is in an unhealthy state:" in result.out
    item = next(item for item in stack.deployment()["resources"] if item["type"] == "fake:index:Item")
    assert item["initErrors"] == ["it is not ready"]
    stack.declare(item={"size": 1, "unready": False})
    stack.up()
    stack.up("--refresh", "--expect-no-changes")


def test_what_a_provider_says_of_a_resource_stands_beside_it(stack: Stack) -> None:
    stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    stack.declare(item={"says": f"the token\nis {TOKEN}"})
    result = stack.engine("up", "--yes")
    lines = result.out.splitlines()
    beside = " +  fake:index:Item item creating "
    assert lines.count(f"{beside}about to say the token is [secret]") == 1, result
    assert lines[lines.index(f"{beside}the token") + 1] == "    is [secret]"
    assert TOKEN not in result.out


def test_a_plugin_of_the_newer_protocol_is_used(stack: Stack) -> None:
    stack.environment |= {"PATH": f"{stack.environment['PATH']}{os.pathsep}{stack.folder / 'plugin'}"}
    stack.environment["FAKE_HANDSHAKE"] = "1"
    stack.declare(item={"size": 1}, provider={"region": "here"})
    stack.up()
    assert stack.outputs()["region"] == "here"
    stack.up("--expect-no-changes")
