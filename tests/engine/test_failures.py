"""Each way in which an operation can go wrong: one clear message, nothing lost, nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import Stack
from tests.waiting import eventually


def calls(stack: Stack) -> str:
    path = stack.folder / "calls"
    return path.read_text() if path.exists() else ""


def shown_outputs(stack: Stack) -> dict[str, object]:
    shown: dict[str, object] = json.loads(stack.engine("stack", "output", "--json", "--show-secrets").out)
    return shown


def test_a_failed_create_keeps_what_succeeded_and_names_the_resource(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x", "after": ["a"], "fail": "create"}})
    result = stack.up(status=1)
    assert result.out.count("b: no create today") == 1
    assert "Traceback" not in result.out + result.err
    assert set(stack.resources()) == {"a"}
    assert "pending_operations" not in stack.deployment()
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x", "after": ["a"]}})
    stack.up()
    assert stack.calls() == ["create a", "create b", "create b"]


def test_a_missing_program_is_named(stack: Stack) -> None:
    (stack.folder / "__main__.py").unlink()
    assert "__main__.py' is missing." in stack.engine("preview", status=1).out


def test_a_failed_check_fails_the_preview_before_anything_changes(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x", "fail": "check"}})
    result = stack.engine("up", "--yes", status=1)
    assert "b: fail: not like this" in result.out
    assert stack.calls() == []


def test_what_this_engine_does_not_do_is_named_before_anything_changes(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "import": "a-x"}})
    result = stack.engine("up", "--yes", status=1)
    assert result.out.count("'a' is to be imported, which the embedded engine does not do. The Pulumi CLI has it") == 1
    assert "Traceback" not in result.out + result.err


def test_a_program_that_raises_shows_its_own_frames_and_deletes_nothing(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    stack.declare({}, **{"raise": True})
    result = stack.up(status=1)
    assert "ValueError: the program is unwell" in result.out
    assert "runpy" not in result.out
    assert stack.objects() == {"a-x"}
    assert set(stack.resources()) == {"a"}


@pytest.mark.parametrize("command", [["up", "--skip-preview"], ["refresh", "--run-program"]])
def test_a_program_that_fails_keeps_the_outputs_of_before(stack: Stack, command: list[str]) -> None:
    things = {"a": {"kind": "x", "value": 1, "export": True}, "b": {"kind": "x", "value": 1, "export": True}}
    stack.declare(things)
    stack.up()
    before = shown_outputs(stack)
    assert before.keys() == {"a", "b", "token", "nested"}
    stack.declare({"a": {**things["a"], "value": 2}}, **{"raise": True})
    stack.engine(*command, "--yes", status=1)
    # What the program had exported by then counts.
    assert shown_outputs(stack) == {**before, "a": 2 if command[0] == "up" else 1}


def test_a_deletion_that_fails_keeps_the_outputs_of_before(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": 1, "export": True, "fail": "delete"}})
    stack.up()
    before = shown_outputs(stack)
    stack.declare({"b": {"kind": "x", "value": 2, "export": True}})
    stack.up(status=1)
    assert shown_outputs(stack) == {**before, "b": 2, "nested": {"list": [1, 2.5, True, None, "text"], "things": ["b"]}}


def test_a_provider_that_dies_leaves_an_operation_open_that_the_next_update_names(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "fail": "create and die"}})
    result = stack.up(status=1)
    assert "The provider 'test' ended unexpectedly during Create." in result.out
    assert [item["type"] for item in stack.deployment()["pending_operations"]] == ["creating"]
    stack.declare({"a": {"kind": "x"}})
    result = stack.up()
    assert "a: an earlier run was killed while creating this" in result.out
    assert "pending_operations" not in stack.deployment()


def test_a_provider_that_hangs_is_stopped_at_the_resources_deadline(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "slow": 60, "timeout": "1s"}})
    result = stack.up(status=1)
    assert "Create did not end within 1 s, and was stopped; whether it took effect is not known." in result.out
    assert len(stack.deployment()["pending_operations"]) == 1


def test_a_provider_that_hangs_lets_its_other_calls_end(stack: Stack) -> None:
    stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    stack.declare(items={"hangs": {"slow": 30, "timeout": "1s"}, "works": {"slow": 3}})
    result = stack.up(status=1)
    assert "hangs: Create did not end within 1 s" in result.out
    assert "works created" in result.out
    assert [item["resource"]["urn"].split("::")[-1] for item in stack.deployment()["pending_operations"]] == ["hangs"]


def test_a_refresh_that_fails_after_finding_something_gone_leaves_a_whole_state(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x", "after": ["a"], "fail": "read"}})
    stack.up()
    (stack.folder / "objects/a-x").unlink()
    assert "b: no read today" in stack.engine("refresh", "--yes", status=1).out
    assert set(stack.resources()) == {"b"}
    stack.up()
    assert stack.objects() == {"a-x", "b-x"}


def test_an_interrupted_update_is_read_again_by_the_next(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "value": 1}})
    stack.up()
    stack.declare({"a": {"kind": "x", "value": 2, "fail": "update and die"}})
    stack.up(status=1)
    path = stack.folder / "objects/a-x"
    path.write_text(json.dumps({**json.loads(path.read_text()), "value": 2}))  # it did take effect
    stack.declare({"a": {"kind": "x", "value": 1}})
    result = stack.up()
    assert "a: an earlier run was killed while updating this: reading what there is now" in result.out
    assert stack.resources()["a"]["outputs"]["value"] == 1
    assert json.loads(path.read_text())["value"] == 1


def test_a_protected_resource_is_not_deleted(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "protect": True}})
    stack.up()
    result = stack.engine("destroy", "--yes", status=1)
    assert "cannot be deleted" in result.out
    stack.declare({})
    stack.up(status=1)
    assert stack.objects() == {"a-x"}


def test_a_second_run_at_the_same_time_is_refused(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "slow": 10}})
    first = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: "create a" in calls(stack))
    result = stack.engine("up", "--yes", "--skip-preview", status=1)
    assert "the stack is currently locked by 1 lock(s)" in result.err
    assert first.wait(30) == 0
    assert stack.objects() == {"a-x"}


def test_the_lock_of_a_killed_run_is_no_obstacle_and_no_process_is_left(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "slow": 30}})
    first = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: "create a" in calls(stack))
    first.kill()
    first.wait(10)
    eventually(lambda: not stack.processes())
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    assert stack.objects() == {"a-x"}


def test_cancel_takes_away_the_lock_of_another_machine(stack: Stack) -> None:
    folder = stack.folder / "backend/.pulumi/locks/organization/things/s"
    folder.mkdir(parents=True)
    owner = {"pid": 1, "username": "else", "hostname": "where", "timestamp": "2026-01-01T00:00:00Z"}
    (folder / "x.json").write_text(json.dumps(owner))
    assert "created by else@where (pid 1)" in stack.up(status=1).err
    stack.engine("cancel", "--yes")
    stack.up()


def test_the_second_interrupt_kills_what_is_under_way(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "slow": 60}})
    process = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: "create a" in calls(stack))
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    next(line for line in lines if "press Ctrl-C again" in line)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1, out + err
    assert [item["type"] for item in stack.deployment()["pending_operations"]] == ["creating"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("verb", ["create", "update"])
def test_the_first_interrupt_cancels_at_the_provider_and_what_exists_is_kept(
    stack: Stack, verb: str, number: signal.Signals
) -> None:
    stack.environment["PATH"] += f"{os.pathsep}{stack.folder / 'plugin'}"
    if verb == "update":
        stack.declare(item={"size": 1})
        stack.up()
    stack.declare(item={"size": 2, "slow": 60, "says": "begun"})
    process = stack.start("up", "--yes", "--skip-preview")
    assert process.stdout is not None
    next(line for line in iter(process.stdout.readline, "") if line.endswith(" begun\n"))
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, out + err
    assert "item: it was cancelled" in out
    assert "pending_operations" not in stack.deployment()
    item = next(item for item in stack.deployment()["resources"] if item["type"] == "fake:index:Item")
    assert item["id"] == "item"
    assert item["initErrors"] == ["it was cancelled"]
    assert item["outputs"]["size"] == 2
    stack.declare(item={"size": 2})
    assert "item updated" in stack.up().out


def test_a_wrong_passphrase_is_told_before_anything_changes(stack: Stack) -> None:
    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    result = stack.up(status=1)
    assert result.err.startswith("error: incorrect passphrase")
    assert result.out == ""


def test_a_damaged_checkpoint_is_named_with_its_newest_backup(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    stack.up()
    stack.checkpoint.write_text(stack.checkpoint.read_text()[:200])
    result = stack.up(status=1)
    assert "is damaged" in result.err
    stack.engine(*shlex.split(result.err.rpartition("in its place with: ")[2]))
    stack.up("--expect-no-changes")


def test_a_state_with_a_reference_to_nothing_is_named_with_the_way_back(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x", "after": ["a"]}})
    stack.up()
    stack.up()
    document = json.loads(stack.checkpoint.read_text())
    resources = document["checkpoint"]["latest"]["resources"]
    document["checkpoint"]["latest"]["resources"] = [item for item in resources if not item["urn"].endswith("::a")]
    stack.checkpoint.write_text(json.dumps(document))
    result = stack.up(status=1)
    assert "refers to 'urn:pulumi:s::things::test:index:Thing::a', which does not precede it" in result.err
    stack.engine(*shlex.split(result.err.rpartition("in its place with: ")[2]))
    stack.up("--expect-no-changes")


def test_a_full_disk_ends_the_update_with_the_old_state_whole(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    before = stack.checkpoint.read_text()
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x"}, "c": {"kind": "x", "after": ["b"], "value": "c" * 4000}})
    limit = len(before) + 2000  # bytes a file may have: as on a full disk, the write fails half-way
    limited = ("bash", "-c", f'ulimit -f {limit // 1024}; exec "$@"', "bash", sys.executable, "-m", "engine")
    result = stack.engine("up", "--yes", "--skip-preview", through=limited, status=1)
    assert result.out.count("cannot be written: File too large") == 1
    assert "Traceback" not in result.out + result.err
    assert {"a"} <= set(stack.resources())
    stack.up()
    assert stack.objects() == {"a-x", "b-x", "c-x"}


@pytest.fixture
def read_only(stack: Stack) -> Iterator[Path]:
    """The stack's backend, which nobody may write to, not even root."""
    folder = stack.folder / "backend"
    stack.declare({"a": {"kind": "x"}})
    stack.up()
    if os.geteuid():
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield folder
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return
    for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if done.returncode:
            subprocess.run(["umount", folder], capture_output=True)
            pytest.skip(f"root may write everywhere, and may not mount read-only here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_backend_that_cannot_be_written_is_named_and_nothing_changes(stack: Stack, read_only: Path) -> None:
    stack.declare({"a": {"kind": "x"}, "b": {"kind": "x"}})
    stack.calls()
    for command in (["up", "--yes"], ["destroy", "--yes"], ["refresh", "--yes"], ["stack", "init", "q"]):
        result = stack.engine(*command, status=1)
        assert result.err.startswith("error: ")
        assert str(read_only) in result.err
        assert result.err.count("\n") == 1
    assert stack.calls() == []
    assert not (stack.folder / "Pulumi.q.yaml").exists()
    assert "+ 1 to create" in stack.engine("preview").out


def test_a_state_with_features_of_a_newer_cli_is_refused_by_their_names(stack: Stack) -> None:
    stack.up()
    document = {**json.loads(stack.checkpoint.read_text()), "version": 4, "features": ["views", "taint", "hooks"]}
    exported = {"version": 4, "features": ["snippets"], "deployment": document["checkpoint"]["latest"]}
    (stack.folder / "exported.json").write_text(json.dumps(exported))
    imported = stack.engine("stack", "import", "--file", "exported.json", status=1)
    assert "uses features that this engine does not have: snippets." in imported.err
    stack.checkpoint.write_text(json.dumps(document))
    for command in (["preview"], ["up", "--yes"], ["refresh", "--yes"], ["destroy", "--yes"], ["stack", "output"]):
        assert "does not have: hooks, views." in stack.engine(*command, status=1).err
    assert json.loads(stack.checkpoint.read_text()) == document
    stack.engine("stack", "ls")


def test_a_backend_of_an_older_layout_or_compressed_is_left_to_the_cli(stack: Stack) -> None:
    compressed = stack.checkpoint.with_name("s.json.gz")
    stack.checkpoint.rename(compressed)
    stack.engine("stack", "init", "t", "--no-select")
    assert [row["name"] for row in json.loads(stack.engine("stack", "ls", "--json").out)] == ["s", "t"]
    assert "s*    n/a" in stack.engine("stack", "ls").out
    assert "is compressed" in stack.engine("preview", status=1).err
    compressed.rename(stack.checkpoint.parent.parent / "s.json")
    (stack.folder / "backend/.pulumi/meta.yaml").unlink()
    assert "'pulumi state upgrade' brings it up to date" in stack.engine("stack", "ls", status=1).err
    assert not (stack.folder / "backend/.pulumi/meta.yaml").exists()


def test_a_state_that_cannot_be_written_is_told_once(stack: Stack) -> None:
    names = [f"n{number}" for number in range(6)]
    stack.declare({name: {"kind": "x", "value": "v" * 3000} for name in names})
    limited = ("bash", "-c", 'ulimit -f 12; exec "$@"', "bash", sys.executable, "-m", "engine")
    result = stack.engine("up", "--yes", "--skip-preview", through=limited, status=1)
    assert result.out.count("cannot be written: File too large") == 1
    stack.up()
    assert stack.objects() == {f"{name}-x" for name in names}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_a_signal_lets_what_is_under_way_end(stack: Stack, number: signal.Signals, verb: str) -> None:
    stack.declare({"a": {"kind": "x", "slow": 2}, "b": {"kind": "x", "slow": 2, "after": ["a"]}})
    if verb == "destroy":
        stack.up()
        stack.calls()
    process = stack.start(verb, "--yes", "--skip-preview")
    first, last = ("create a", {"a"}) if verb == "up" else ("delete b", {"a"})
    eventually(lambda: first in calls(stack))
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert f"{'update' if verb == 'up' else 'destroy'} canceled" in err
    assert set(stack.resources()) == last
    assert "pending_operations" not in stack.deployment()


@pytest.mark.parametrize(("name", "status"), [("INT", 1), ("TERM", 1), ("HUP", 0)])
def test_whoever_starts_it_with_signals_ignored_stops_it_all_the_same_but_for_nohup(
    stack: Stack, name: str, status: int
) -> None:
    stack.declare({"a": {"kind": "x", "slow": 2}, "b": {"kind": "x", "after": ["a"]}})
    ignoring = ("sh", "-c", f"trap '' {name}; exec \"$@\"", "sh", sys.executable, "-m", "engine")
    process = stack.start("up", "--yes", "--skip-preview", through=ignoring)
    eventually(lambda: "create a" in calls(stack))
    process.send_signal(signal.Signals[f"SIG{name}"])
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, out + err
    assert set(stack.resources()) == ({"a"} if status else {"a", "b"})


def test_an_interrupted_refresh_keeps_the_state(stack: Stack) -> None:
    stack.declare({"a": {"kind": "x", "slow_read": 2}})
    stack.up()
    stack.calls()
    process = stack.start("refresh", "--yes")
    eventually(lambda: "read a" in calls(stack))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert "refresh canceled" in err
    assert set(stack.resources()) == {"a"}


def test_an_interrupt_outside_of_an_operation_is_told(stack: Stack) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "engine", "stack", "rm"]
    process = subprocess.Popen(
        command, cwd=stack.folder, env=stack.environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while b"typing" not in shown:
        shown += os.read(ours, 1000)
    stat = Path(f"/proc/{process.pid}/stat")
    eventually(lambda: stat.read_text().split()[2] == "S")  # a signal just before the read is noticed only after it
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert b"error: canceled" in os.read(ours, 1000)
    os.close(ours)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"hook": True}, "The embedded engine does not support resource hooks. The Pulumi CLI has it: https://"),
        ({"replace_with": True}, "The embedded engine does not support the ReplaceWith option. The Pulumi CLI has it"),
        ({"asset": "nowhere.txt"}, "'asset' has the file 'nowhere.txt', which cannot be read: No such file"),
    ],
)
def test_what_this_engine_lacks_is_not_blamed_on_the_cli(stack: Stack, config: dict[str, object], words: str) -> None:
    stack.declare(None, **config)
    result = stack.engine("preview", status=1)
    assert words in result.out
    assert "Please update" not in result.out


def test_a_lock_that_is_none_is_in_the_way_until_cancel_takes_everything_away(stack: Stack) -> None:
    folder = stack.folder / "backend/.pulumi/locks/organization/things/s"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.json").write_text("[]")
    (folder / "y.new").write_text("")
    assert "created by unknown@unknown" in stack.up(status=1).err
    stack.engine("cancel")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [["preview"], ["up"], ["refresh"], ["destroy"]])
def test_a_stack_that_is_not_there_has_its_own_exit_status(stack: Stack, command: list[str]) -> None:
    result = stack.engine(*command, "--yes" if command != ["preview"] else "--diff", "--stack", "nope", status=6)
    assert result.err == "error: no stack named 'nope' found\n"
