"""The processes that a service's folder has started, told by the folder in which they work.

A process's working directory follows its folder when that is moved, is another one in a copy, and is marked by the
kernel once the folder is deleted. Process ids and paths in files tell none of that.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = ["end", "is_supervisor", "place", "programs", "supervisor"]

# In the environment of every process that `launch.py` starts, and of their children.
_MARK = "TRITON_SERVING_PROGRAM"
_SUPERVISORD = "supervisor.supervisord"
_DELETED = " (deleted)"


def supervisor(root: Path, owner: str) -> psutil.Process | None:
    """Find the supervisord of the service in `root`, of the stack `owner`.

    It works in that folder. Or its folder was deleted: then it is the owner's whose folder lay where `root` lies, or
    the one that the record in `root` names, as after a move to another file system.
    """
    orphan = None
    for process in psutil.process_iter():
        if not is_supervisor(process):
            continue
        was = place(process)
        if not was.endswith(_DELETED):
            if _is_same(process, root):
                return process
        elif f"--identifier={owner}" in process.cmdline():
            was_beside = Path(was.removesuffix(_DELETED)).parent == root.parent
            if was_beside or process.pid == _recorded(root):
                orphan = process
    return orphan


def is_supervisor(process: psutil.Process) -> bool:
    """Whether a process is the supervisord of some service."""
    try:
        return _SUPERVISORD in process.cmdline()
    except psutil.Error:
        return False


def programs(root: Path) -> Iterator[psutil.Process]:
    """Find the processes that any supervisord started from the folder `root`, or from a deleted folder of that path."""
    for process in psutil.process_iter():
        was = place(process)
        if not was or not Path(was.removesuffix(_DELETED)).is_relative_to(root):
            continue
        with suppress(psutil.Error):
            if _MARK in process.environ():
                yield process


def end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """End processes, by force those that have not ended within `seconds`; gives those that did not end."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    return psutil.wait_procs(alive, timeout=10)[1]


def place(process: psutil.Process) -> str:
    """Read the folder that a process works in, with the kernel's mark where it is gone; "" where nobody may know."""
    try:
        return str(Path(f"/proc/{process.pid}/cwd").readlink())
    except OSError:
        return ""


def _is_same(process: psutil.Process, root: Path) -> bool:
    try:
        return Path(f"/proc/{process.pid}/cwd").samefile(root)
    except OSError:
        return False


def _recorded(root: Path) -> int:
    try:
        return int((root / "supervisord.pid").read_text())
    except (OSError, ValueError):
        return 0
