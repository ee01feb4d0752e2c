"""The processes below one, read from /proc."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

__all__ = ["arguments", "descendants", "has_ended", "kill"]


def descendants(root: int) -> list[int]:
    """The ids of the processes that `root` started, and of those that these started, the nearest first."""
    found: list[int] = []
    parents = [root]
    while parents:
        children = [child for parent in parents for child in _children(parent)]
        found += children
        parents = children
    return found


def _children(pid: int) -> list[int]:
    # Each thread lists those that it started.
    children: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children


def arguments(pid: int) -> list[str]:
    """A process's command line; empty where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")[:-1]
    return []


def has_ended(pid: int) -> bool:
    """Whether a process has ended; one that its parent has not taken notice of has."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def kill(pid: int) -> None:
    """End a process at once; nothing happens where it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
