"""The folder in which `check` serves: gone at the end with all that ran in it, and after a kill by the next check."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.process import service

__all__ = ["SERVICE", "trial_folder"]

SERVICE = "check"  # the service's name, and its owner's
_PREFIX = "c-"  # a Unix socket's path has few characters


@contextmanager
def trial_folder(state_directory: Path) -> Iterator[Path]:
    """Make a new folder within the state directory, and first remove the folders that ended checks left there."""
    state_directory.mkdir(parents=True, exist_ok=True)
    for left in state_directory.glob(f"{_PREFIX}*"):
        with _held(left) as ended:
            if ended:
                _remove(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=state_directory))
    with _held(folder):
        try:
            yield folder
        finally:
            _remove(folder)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder for as long as this process lives; false where another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = True
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    service.remove(folder, SERVICE, SERVICE)
    shutil.rmtree(folder, ignore_errors=True)
