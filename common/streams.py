"""Standard streams that can always be written to: a command goes on when whoever read its output has gone."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO


def keep_open() -> None:
    """Open the null device in place of each standard stream that is closed, or whose reader goes away from now on.

    Otherwise the next file that is opened would take a closed stream's number, and the children's output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, for children too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _writer(1, sys.stdout)
    sys.stderr = _writer(2, sys.stderr)


def _writer(number: int, given: TextIO | None) -> io.TextIOWrapper:
    """Open a text stream on a file descriptor, in the encoding of the one that Python made."""
    buffered = io.BufferedWriter(_Unread(number, "w", closefd=False))
    return io.TextIOWrapper(
        buffered,
        encoding=getattr(given, "encoding", None) or "utf-8",
        errors=getattr(given, "errors", None) or "backslashreplace",
        line_buffering=getattr(given, "line_buffering", True),
        write_through=number == 2,
    )


class _Unread(io.FileIO):
    """A file that becomes the null device once nobody reads it any more."""

    def write(self, data, /):  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a pipe's reader, or a terminal, is gone
                raise
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)
