"""One measured command: its time, the processor time of all its processes, and the most memory they held at once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Measured", "memory_of", "run"]

SAMPLING_SECONDS = 0.1


@dataclass(frozen=True)
class Measured:
    """Seconds that passed, seconds of processor time, and MiB at the peak (0 where memory was not sampled)."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    memory: bool = False,
) -> Measured:
    """Run a command to its end; `memory` samples it, which slows it a little. Raises RuntimeError when it fails."""
    peak = 0.0
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        killer = threading.Timer(deadline, process.kill)
        killer.start()
        if memory:
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                peak = max(peak, memory_of(process.pid))
                time.sleep(SAMPLING_SECONDS)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            tail = output.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, peak)


def memory_of(root: int) -> float:
    """MiB of proportional set size that a process and its descendants hold."""
    total = 0
    for pid in _family(root):
        with contextlib.suppress(OSError):  # it ended in the meantime
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def _family(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())
