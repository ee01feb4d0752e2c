"""The command line: verbs, flags, outputs and exit statuses."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
import yaml

from engine.cli.config_verbs import looks_like_secret
from tests.engine.conftest import Stack


@pytest.mark.parametrize("command", [["watch"], ["up", "--target", "x"], ["up", "--preview-only"], ["stack", "tag"]])
def test_what_only_the_cli_has_is_refused_with_a_hint(stack: Stack, command: list[str]) -> None:
    result = stack.engine(*command, status=1)
    assert "the Pulumi CLI has it: https://www.pulumi.com/docs/install/" in result.err
    assert result.err.count("\n") == 1


def test_an_update_asks_for_consent(stack: Stack) -> None:
    for verb, status in (("up", 2), ("destroy", 2), ("refresh", 1)):
        assert "--yes or --skip-preview or --preview-only must be" in stack.engine(verb, status=status).err
    assert stack.engine("stack", "rm", status=1).err == "error: non-interactive mode requires --yes flag\n"
    stack.up()
    assert "- 1 to delete" in stack.engine("destroy", "--preview-only").out
    assert "cannot be used together" in stack.engine("destroy", "--preview-only", "--yes", status=1).err
    assert stack.deployment()["resources"]


def test_stacks_are_made_selected_listed_and_removed(stack: Stack) -> None:
    stack.engine("stack", "init", "t")
    rows = json.loads(stack.engine("stack", "ls", "--json").out)
    assert [(row["name"], row["current"]) for row in rows] == [("s", False), ("t", True)]
    assert "already exists" in stack.engine("stack", "init", "t", status=1).err
    stack.engine("stack", "select", "s")
    assert stack.engine("stack", "select", "nope", status=6).err == "error: no stack named 'nope' found\n"
    assert "no stack selected" in stack.engine("stack", "select", status=6).err
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


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("8f3kd93jd8SK3kd93kd83", True),
        ("kdjfhgkdjf", True),
        ("http://a.b.c.example", True),
        ("correcthorse", False),
        ("scoring-tls", False),
        ("staging.example.org", False),
        ("true", False),
        ("12", False),
        ("", False),
    ],
)
def test_what_looks_like_a_secret_is_not_written_in_plain_text(text: str, refused: bool) -> None:
    assert looks_like_secret("apiToken", text) == refused
    assert not looks_like_secret("name", text)


def test_a_secret_in_plain_text_is_refused_unless_that_is_meant(stack: Stack) -> None:
    before = stack.settings.read_text()
    command = ("config", "set", "apiToken", "8f3kd93jd8SK3kd93kd83")
    assert "'things:apiToken' looks like a secret; rerun with --secret" in stack.engine(*command, status=1).err
    assert stack.settings.read_text() == before
    stack.engine(*command, "--plaintext")


def test_a_setting_is_secret_or_not(stack: Stack) -> None:
    before = stack.settings.read_text()
    assert "cannot be used together" in stack.engine("config", "set", "a", "b", "--secret", "--plaintext", status=1).err
    assert stack.settings.read_text() == before


def test_a_stack_is_named_with_its_organization_as_the_cli_takes_it(stack: Stack) -> None:
    stack.engine("stack", "init", "organization/t")
    for name in ("t", "organization/t", "organization/things/t"):
        stack.engine("stack", "select", name)
        stack.engine("config", "set", "a", name, "-s", name)
        assert stack.engine("config", "get", "a", "-s", "t").out == f"{name}\n"
    assert (stack.checkpoint.parent / "t.json").exists()
    for name in ("acme/t", "organization/", "a/b/c/t", "organization/things/t/x"):
        assert "is not the name of a stack" in stack.engine("stack", "select", name, status=1).err


def test_the_history_keeps_messages_and_what_failed_updates_changed(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}})
    stack.up("-m", "the first")
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x"}, "c": {"fail": "create", "after": ["b"]}})
    stack.up("--message", "the second", status=1)
    files = sorted((stack.folder / "backend/.pulumi/history/things/s").glob("*.history.json"))
    first, second = (json.loads(path.read_text()) for path in files)
    assert (first["message"], first["result"]) == ("the first", "succeeded")
    assert first["resourceChanges"] == {"create": 2}
    assert (second["message"], second["result"]) == ("the second", "failed")
    assert second["resourceChanges"] == {"same": 2, "create": 1}


@pytest.mark.parametrize(
    "command",
    ["{} --secret k3y", "--secret {} k3y", "{} k3y --secret", "{} -s s --secret k3y", "--path {} --secret -- k3y"],
)
def test_a_flag_stands_anywhere_among_the_words_of_a_setting(stack: Stack, command: str) -> None:
    stack.engine("config", "set", *command.format("key").split())
    assert "k3y" not in stack.settings.read_text()
    assert stack.engine("config", "get", "key").out == "k3y\n"


@pytest.mark.parametrize(("piped", "kept"), [("a\n\n", "a\n"), ("a", "a"), ("a\r\n", "a\r"), ("\n", "")])
def test_a_piped_setting_loses_the_end_of_its_last_line(stack: Stack, piped: str, kept: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "engine", "config", "set", "text"],
        input=piped.encode(),
        cwd=stack.folder,
        env=stack.environment,
        check=True,
    )
    assert yaml.safe_load(stack.settings.read_text())["config"]["things:text"] == kept


@pytest.mark.parametrize("command", ["key --secrt k3y", "key --secret=k3y", "key k3y k3y", "--secret key -k3y"])
def test_a_setting_that_is_not_understood_is_not_repeated(stack: Stack, command: str) -> None:
    result = stack.engine("config", "set", *command.split(), status=1)
    assert result.err.startswith("error: config set: ")
    assert "k3y" not in result.out + result.err


def test_a_key_is_read_as_the_cli_reads_it(stack: Stack) -> None:
    assert "could not parse a:b:c as a configuration key" in stack.engine("config", "set", "a:b:c", "1", status=1).err
    stack.engine("config", "set", "a:config:b", "1")
    assert yaml.safe_load(stack.settings.read_text())["config"]["a:b"] == "1"


def test_another_projects_stack_is_left_alone(stack: Stack) -> None:
    (stack.folder / "Pulumi.yaml").write_text("{name: other, runtime: python}")
    before = stack.checkpoint.read_text()
    name = ("--stack", "organization/things/s")
    for command in (
        ("stack", "rm", "--yes", *name),
        ("destroy", "--yes", *name),
        ("config", "set", "a", "b", *name),
        ("stack", "init", "organization/things/t"),
        ("stack", "select", "organization/things/s"),
        ("cancel", "--yes", *name),
    ):
        assert 'project name "things" doesn\'t match Pulumi.yaml' in stack.engine(*command, status=1).err
    assert stack.checkpoint.read_text() == before
    assert stack.settings.exists()


def answer(stack: Stack, typed: str, *command: str) -> tuple[int, str]:
    """Runs the engine on a terminal where a person types; its exit status, and what the terminal shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", *command],
        cwd=stack.folder,
        env=stack.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, f"{typed}\n".encode())
    status = process.wait(60)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    return status, shown


def test_a_person_confirms_by_the_stacks_name(stack: Stack) -> None:
    for command in (("cancel",), ("stack", "rm")):
        status, shown = answer(stack, "no", *command)
        assert status == 1
        assert "Please confirm that this is what you'd like to do by typing `s`:" in shown
        assert "declined" in shown
    status, shown = answer(stack, "s", "stack", "rm")
    assert status == 0, shown
    assert not stack.checkpoint.exists()


def test_cancel_asks_nobody_where_nobody_is(stack: Stack) -> None:
    assert "has been canceled" in stack.engine("cancel").out


@pytest.mark.parametrize("document", [{"version": 3, "deployment": "x"}, {"version": 3, "deployment": [1]}, [], 3])
def test_what_is_no_deployment_is_not_imported(stack: Stack, document: object) -> None:
    before = stack.checkpoint.read_text()
    (stack.folder / "state.json").write_text(json.dumps(document))
    result = stack.engine("stack", "import", "--file", "state.json", status=1)
    assert result.err.startswith("error: could not deserialize deployment")
    assert stack.checkpoint.read_text() == before


def test_the_backend_of_the_last_login_is_used(stack: Stack) -> None:
    url = stack.environment.pop("PULUMI_BACKEND_URL")
    (stack.folder / "home").mkdir(exist_ok=True)
    (stack.folder / "home/credentials.json").write_text(json.dumps({"current": url}))
    assert "s" in stack.engine("stack", "ls").out
    assert not (stack.folder / ".var").exists()


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"\xff", "is not UTF-8 text")])
def test_a_passphrase_file_that_holds_none_is_refused(stack: Stack, content: bytes, words: str) -> None:
    del stack.environment["PULUMI_CONFIG_PASSPHRASE"]
    path = stack.folder / ".var/passphrase"
    path.parent.mkdir()
    path.write_bytes(content)
    for name in ("", str(path)):  # make names it
        stack.environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = name
        result = stack.engine("stack", "init", "own", status=1)
        assert words in result.err
        assert result.err.count("\n") == 1
    assert not (stack.folder / "Pulumi.own.yaml").exists()


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


def test_a_preview_as_json_tells_unchanged_resources_on_demand(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "secret": True}})
    stack.up()
    for flags, ops in (((), []), (("--show-sames",), ["same"])):
        digest = json.loads(stack.engine("preview", "--json", *flags).out)
        steps = [step for step in digest["steps"] if step["urn"].endswith("::a")]
        assert [step["op"] for step in steps] == ops
    assert steps[0]["newState"]["inputs"]["token"] == "[secret]"


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
