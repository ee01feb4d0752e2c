"""Write files so that after a crash, a full disk or a power cut there is the whole old file or the whole new one."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None, replace: bool = True) -> None:
    """Write a file at once, and make its folder.

    Args:
        path: The file; where it is a link, the file that it leads to is replaced.
        content: The whole content; a text is written as UTF-8.
        mode: The file's permissions; by default those of the file that it replaces.
        replace: Whether to replace a file that exists.

    Raises:
        FileExistsError: The file exists, and `replace` is false.
        OSError: Writing failed. The old file is untouched.
    """
    target = path.resolve()  # so that a link stays a link
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}.new")  # unlike that of any writer on another machine
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
