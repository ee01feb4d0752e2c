"""Files written so that a reader, a full disk or a power cut meets the old one or the new one, whole."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None, replace: bool = True) -> None:
    """Write a file and its folder; its permissions stay, or become `mode`. Without `replace`, one that is there stays.

    Raises OSError when that fails, FileExistsError for one that stays; what was there is then untouched.
    """
    target = path.resolve()  # a link stays one
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.new")
    with suppress(FileNotFoundError):
        mode = target.stat().st_mode & 0o777 if mode is None else mode
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if mode else 0o666), "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if not replace and target.exists():
            raise FileExistsError(target)
        scratch.replace(target)
    except BaseException:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise
