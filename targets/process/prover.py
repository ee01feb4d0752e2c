"""The prover of the `process` target: a process of the environment's Python, which ends with whoever started it."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from common.atomic_files import write_whole
from common.waiting import wait_until
from targets.process.programs import Launch
from targets.proving import Outcome

__all__ = ["run"]


def run(launch: Launch, log: Path, plan: str, seconds: float, progress: Callable[[str], None]) -> Outcome:
    """Run the prover on a plan, and leave no process of it; what it says goes to `log` too.

    Raises:
        Cancelled: Somebody cancelled.
    """
    given, output = launch.directory / "plan.json", launch.directory / "verdict.json"
    write_whole(given, plan, mode=0o600)
    with given.open("rb") as stdin, output.open("wb") as stdout, log.open("wb") as stderr, log.open("rb") as said:
        process = subprocess.Popen(
            [*launch.command, str(os.getpid())],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=launch.directory,
            env=launch.variables,
            start_new_session=True,
        )
        rest = b""

        def is_over() -> bool:
            nonlocal rest
            ended = process.poll() is not None
            *lines, rest = (rest + said.read()).split(b"\n")
            for line in lines:
                progress(line.decode(errors="replace"))
            return ended

        try:
            ended = wait_until(is_over, seconds=seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return Outcome(process.returncode if ended else None, output.read_text(encoding="utf-8", errors="replace"), lines)
