"""The processes that a process started, read from /proc."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = ["arguments", "descendants", "has_ended", "kill", "read"]


def descendants(root: int) -> list[int]:
    """List the ids of the processes that `root` started, and of all that these started, the nearest first."""
    found: list[int] = []
    parents = [root]
    while parents:
        children = [child for parent in parents for child in _children(parent)]
        found += children
        parents = children
    return found


def _children(pid: int) -> list[int]:
    # Each thread lists the processes that it started.
    children: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - five times a second, and fast
            children += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    return children


def read(path: str) -> bytes:
    """Read a file of /proc; it is empty where the process has ended."""
    with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123
        return file.read()
    return b""


def arguments(pid: int) -> list[str]:
    """Read a process's command line; it is empty where the process has ended."""
    return read(f"/proc/{pid}/cmdline").decode(errors="surrogateescape").split("\0")[:-1]


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended, also where its parent has not collected it yet."""
    after_name = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return not after_name or after_name[0] in (b"Z", b"X")


def kill(pid: int) -> None:
    """End a process at once, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
