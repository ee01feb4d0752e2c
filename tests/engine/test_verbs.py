"""The command line: verbs, flags, outputs and exit statuses."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.engine.conftest import Stack


@pytest.mark.parametrize("command", [["watch"], ["up", "--target", "x"], ["stack", "tag"]])
def test_what_only_the_cli_has_is_refused_with_a_hint(stack: Stack, command: list[str]) -> None:
    result = stack.engine(*command, status=1)
    assert "the Pulumi CLI has it: https://www.pulumi.com/docs/install/" in result.err
    assert result.err.count("\n") == 1


def test_an_update_asks_for_consent(stack: Stack) -> None:
    assert "--yes or --skip-preview or --preview-only must be passed" in stack.engine("up", status=2).err
    assert "+ 1 to create" in stack.engine("up", "--preview-only").out
    assert stack.deployment().get("resources") is None


def test_stacks_are_made_selected_listed_and_removed(stack: Stack) -> None:
    stack.engine("stack", "init", "t")
    rows = json.loads(stack.engine("stack", "ls", "--json").out)
    assert [(row["name"], row["current"]) for row in rows] == [("s", False), ("t", True)]
    assert "already exists" in stack.engine("stack", "init", "t", status=1).err
    stack.engine("stack", "select", "s")
    assert stack.engine("stack", "select", "nope", status=6).err == "error: no stack named 'nope' found\n"
    stack.engine("stack", "select", "--create", "u")
    stack.engine("stack", "rm", "u", "--yes")
    assert "no stack selected" in stack.engine("stack", "output", status=1).err
    stack.engine("stack", "select", "s")
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    assert "still has resources" in stack.engine("stack", "rm", "--yes", status=1).err
    assert not (stack.folder / "Pulumi.u.yaml").exists()


def test_a_destroyed_stack_can_be_removed_at_once(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    stack.engine("destroy", "--yes", "--remove")
    assert json.loads(stack.engine("stack", "ls", "--json").out) == []
    assert not stack.settings.exists()


def test_configuration_is_edited_in_place(stack: Stack) -> None:
    stack.settings.write_text(
        "# ours\n" + stack.settings.read_text().replace("things:", "\n  # the things\n  things:", 1)
    )
    stack.engine("config", "set", "size", "12")
    stack.engine("config", "set", "--path", "limits.cpu[0]", "2")
    stack.engine("config", "set", "--secret", "key", "k-e-y")
    text = stack.settings.read_text()
    assert text.startswith("# ours\n")
    assert "# the things\n" in text
    assert "k-e-y" not in text
    config = yaml.safe_load(text)["config"]
    assert config["things:size"] == "12"
    assert config["things:limits"] == {"cpu": [2]}
    assert stack.engine("config", "get", "key").out == "k-e-y\n"
    assert "key     [secret]\n" in stack.engine("config").out
    stack.engine("config", "rm", "key")
    assert "not found" in stack.engine("config", "get", "key", status=1).err


def test_a_preview_as_json_has_the_clis_shape(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "secret": True}})
    stack.up()
    stack.declare({"a": {"kind": "y", "secret": True}, "b": {"kind": "x"}})
    digest = json.loads(stack.engine("preview", "--json").out)
    assert digest["changeSummary"] == {"create": 1, "replace": 1, "same": 1}
    assert digest["config"]["things:token"] == "[secret]"
    steps = {step["urn"].split("::")[-1]: step for step in digest["steps"]}
    assert steps["a"]["op"] == "replace"
    assert steps["a"]["replaceReasons"] == ["kind"]
    assert steps["a"]["oldState"]["inputs"]["token"] == "[secret]"
    assert steps["b"]["newState"]["inputs"]["kind"] == "x"
    assert "id" not in steps["b"]["newState"]


def test_a_failing_preview_as_json_is_still_one_document(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "fail": "check"}})
    result = stack.engine("preview", "--json", status=1)
    assert [item["severity"] for item in json.loads(result.out)["diagnostics"]] == ["error"]


def test_an_exported_state_is_imported(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "secret": True}})
    stack.up()
    stack.engine("stack", "export", "--file", "state.json", "--show-secrets")
    stack.engine("destroy", "--yes", "--skip-preview")
    stack.engine("stack", "import", "--file", "state.json")
    assert "plaintext" not in stack.checkpoint.read_text()
    stack.up("--expect-no-changes")
    (stack.folder / "state.json").write_text("{}")
    assert "could not deserialize" in stack.engine("stack", "import", "--file", "state.json", status=1).err


def test_a_passphrase_is_made_where_none_is_set_and_kept_to_its_owner(stack: Stack) -> None:
    del stack.environment["PULUMI_CONFIG_PASSPHRASE"]
    stack.environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)  # make sets one
    stack.engine("stack", "init", "own")
    path = stack.folder / ".var/passphrase"
    assert path.stat().st_mode & 0o777 == 0o600
    stack.engine("config", "set", "--secret", "key", "value", "--stack", "own")
    stack.environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(path)
    assert stack.engine("config", "get", "key", "--stack", "own").out == "value\n"


def test_a_flag_before_the_verb_counts(stack: Stack) -> None:
    folder, stack.folder = stack.folder, stack.folder.parent
    assert "s*" in stack.engine("--cwd", str(folder), "stack", "ls").out
    stack.folder = folder
