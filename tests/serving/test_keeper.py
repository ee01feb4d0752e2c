"""The keeper: it starts a server, hands signals on, bounds its memory, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from serving.keeping.response_cache import with_cache
from tests.troubleshooting import quoted
from tests.waiting import eventually

PROJECT = Path(__file__).resolve().parents[2]


def keep(code: str, *options: str) -> subprocess.Popen[str]:
    """Start a keeper of a Python program."""
    command = [sys.executable, "-m", "serving.keeping.keeper", *options, "--", sys.executable, "-c", dedent(code)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(7)", 7),
        ("pass", 0),
        ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL),
        ("import os; os.abort()", 128 + signal.SIGABRT),
    ],
)
def test_it_ends_with_its_commands_status(code: str, status: int) -> None:
    assert keep(code).wait(30) == status


def test_a_command_that_does_not_exist_is_named() -> None:
    command = [sys.executable, "-m", "serving.keeping.keeper", "--", "/no/such/server"]
    ended = subprocess.run(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (127, "/no/such/server cannot be started: No such file or directory\n")


def test_signals_reach_the_command() -> None:
    code = """
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        print("ready", flush=True)
        signal.pause()
    """
    with keep(code) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "ready\n"
        keeper.terminate()
        assert keeper.wait(30) == 5


def test_what_a_dead_command_left_behind_ends_with_it() -> None:
    code = """
        import os, subprocess, sys
        lonely = "os.setsid(); os.fork() and os._exit(0); print(os.getpid(), flush=True); time.sleep(600)"
        command = [sys.executable, "-c", f"import os, time; {lonely}"]
        told = subprocess.Popen(command, stdout=subprocess.PIPE, text=True).stdout.readline()
        print(told, end="", flush=True)
        os.kill(os.getpid(), 9)
    """
    with keep(code) as keeper:
        assert keeper.stdout is not None
        orphan = int(keeper.stdout.readline())
        assert keeper.wait(30) == 128 + signal.SIGKILL
        assert is_gone(orphan)


def test_a_killed_keeper_takes_its_command_along() -> None:
    with keep("import os, signal; print(os.getpid(), flush=True); signal.pause()") as keeper:
        assert keeper.stdout is not None
        pid = int(keeper.stdout.readline())
        keeper.kill()
        eventually(lambda: is_gone(pid))


def test_the_largest_process_is_killed_where_all_use_too_much() -> None:
    code = """
        import subprocess, sys, signal
        greedy = "held = []\\nwhile True: held.append(bytearray(b'x' * 4_000_000))"
        print(subprocess.run([sys.executable, "-c", greedy]).returncode, flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("lives", flush=True)
        signal.pause()
    """
    with keep(code, "--memory-mb", "200") as keeper:
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        assert [keeper.stdout.readline() for _ in range(2)] == [f"{-signal.SIGKILL}\n", "lives\n"]
        said = keeper.stderr.readline()
        keeper.terminate()
        assert keeper.wait(30) == 0
    assert "more than the 200 MiB of deployment.memoryGb; the largest, with" in said
    quoted(said, "process", 10)


def test_memory_that_forks_share_counts_once() -> None:
    code = """
        import os, signal, sys
        held = bytearray(b'x' * 120_000_000)
        if any(os.fork() == 0 for _ in range(4)):
            signal.pause()
        import time; time.sleep(2)
        print("lives", flush=True)
    """
    with keep(code, "--memory-mb", "300") as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "lives\n"
        assert keeper.wait(30) == 0


@pytest.mark.parametrize(
    ("config", "cached"),
    [
        ("response_cache { enable: true }", True),
        ("response_cache: {\n  enable : true\n}", True),
        ("response_cache { enable: false }", False),
        ("# response_cache { enable: true }", False),
        ("", False),
    ],
)
def test_triton_has_a_cache_where_a_model_asks_for_one(tmp_path: Path, config: str, cached: bool) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.pbtxt").write_text(config)
    for command in (["tritonserver", f"--model-repository={tmp_path}"], ["t", "--model-repository", str(tmp_path)]):
        assert with_cache(command) == [*command, *["--cache-config=local,size=67108864"] * cached]
