"""A bound on the memory that a server's processes use together, for places where nothing else bounds it.

Limits of the kernel do not serve here. A limit on a process's addresses (`RLIMIT_AS`) counts each process by itself,
and stops programs that reserve far more than they use, as CUDA, gevent and allocators do. A control group bounds all
processes, but ordinary users may not change theirs unless the administrator delegated one. So the keeper measures the
memory, and kills the largest process when all use too much, as the kernel does in a control group. Between two looks
they can use more. Where the machine's memory ends meanwhile, the kernel kills these processes before others.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from serving.keeping import process_tree

__all__ = ["MemoryBound", "used_kb"]

_UNSHARED = re.compile(rb"^RssAnon:\s+(\d+)", re.MULTILINE)
_SHARED = re.compile(rb"^RssShmem:\s+(\d+)", re.MULTILINE)
_PROPORTIONAL = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+)", re.MULTILINE)
_VICTIM = "500"  # of -1000 to 1000: the kernel kills the process with the highest number first


class MemoryBound:
    """Bounds the memory of all processes below this one to `megabytes` (MiB)."""

    def __init__(self, megabytes: int) -> None:
        self._megabytes = megabytes
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_VICTIM)

    def look(self, pids: Sequence[int]) -> None:
        """Kill the largest of these processes where all of them together use too much."""
        # The quick count comes first; it counts memory twice that a fork shares with its parent.
        if _roughly_kb(pids) <= self._megabytes * 1024:
            return
        used = {pid: used_kb(pid) for pid in pids}
        total = sum(used.values())
        if total <= self._megabytes * 1024:
            return
        largest = max(used, key=lambda pid: used[pid])
        command = " ".join(process_tree.arguments(largest)[:2])
        print(
            f"memory: {len(pids)} processes use {total // 1024} MiB, more than the {self._megabytes} MiB of "
            f"deployment.memoryGb; the largest, with {used[largest] // 1024} MiB, is killed and starts again: "
            f"{command}",
            file=sys.stderr,
            flush=True,
        )
        process_tree.kill(largest)


def used_kb(pid: int) -> int:
    """Measure a process's use of the machine's memory, in KiB, and its part of the memory that it shares."""
    return sum(map(int, _PROPORTIONAL.findall(process_tree.read(f"/proc/{pid}/smaps_rollup"))))


def _roughly_kb(pids: Sequence[int]) -> int:
    """Estimate the processes' use from above: the memory that they share may count several times."""
    statuses = [process_tree.read(f"/proc/{pid}/status") for pid in pids]
    unshared = [int(found[1]) for status in statuses if (found := _UNSHARED.search(status))]
    shared = [int(found[1]) for status in statuses if (found := _SHARED.search(status))]
    return sum(unshared) + sum(shared)
