"""The prover's process, with a small script in its place: its progress is told, and it ends with who started it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent

import pytest

from common import waiting
from targets.process import programs, prover
from targets.process.programs import Launch
from targets.proving import Outcome
from tests.targets.process.conftest import PROJECT, is_gone
from tests.waiting import eventually

LASTING = """
    import os, subprocess, sys, time
    child = subprocess.Popen(["sleep", "600"])
    print(os.getpid(), child.pid, file=sys.stderr, flush=True)
    time.sleep(600)
"""


def proved(folder: Path, code: str, said: list[str], seconds: float = 30) -> Outcome:
    launch = Launch(command=[sys.executable, "-c", dedent(code)], directory=folder, variables={"PATH": os.defpath})
    return prover.run(launch, folder / "prover-1.log", '{"a": 1}', seconds, said.append)


def test_the_plan_is_read_and_the_progress_told(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import sys; print('replaying', file=sys.stderr); print(sys.stdin.read()); sys.exit(2)"
    assert proved(tmp_path, code, said) == Outcome(2, '{"a": 1}\n', ["replaying"])
    assert said == ["replaying"]
    assert (tmp_path / "plan.json").stat().st_mode & 0o77 == 0


def test_one_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    said: list[str] = []
    assert proved(tmp_path, LASTING, said, seconds=1).status is None
    assert all(is_gone(int(pid)) for pid in said[0].split()[:1])
    eventually(lambda: all(is_gone(int(pid)) for pid in said[0].split()))


def test_whoever_cancels_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())
    said: list[str] = []

    def cancel_once_it_runs() -> None:
        eventually(lambda: said)
        waiting.cancel()

    watcher = threading.Thread(target=cancel_once_it_runs)
    watcher.start()
    with pytest.raises(waiting.Cancelled):
        proved(tmp_path, LASTING, said)
    watcher.join()
    eventually(lambda: all(is_gone(int(pid)) for pid in said[0].split()))


def test_it_dies_with_a_killed_rollout(tmp_path: Path) -> None:
    package = tmp_path / "serving" / "proving"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}} ')\n"
        "time.sleep(600)\n"
    )
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {programs._PROVE}"
    code = f"""
from pathlib import Path
from targets.process import prover
from targets.process.programs import Launch
launch = Launch(command=[{sys.executable!r}, "-I", "-c", {start!r}], directory=Path({str(tmp_path)!r}), variables={{}})
prover.run(launch, Path({str(tmp_path / "log")!r}), "{{}}", 600, print)
"""
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT)
    file = tmp_path / "pid"
    pid = int(eventually(lambda: file.is_file() and file.read_text().strip()))
    killed.kill()
    killed.wait(10)
    eventually(lambda: is_gone(pid))
