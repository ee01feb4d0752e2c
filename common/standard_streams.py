"""Keep the standard streams writable, so that a command goes on after the reader of its output has gone."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO


def keep_open() -> None:
    """Open the null device for each standard stream that is closed, or whose reader goes away later.

    Otherwise the next file that the program opens would get a closed stream's number, and with it the children's
    output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The kernel gives the lowest free number, which is this one; children inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _writer(1, sys.stdout)
    sys.stderr = _writer(2, sys.stderr)


def _writer(number: int, given: TextIO | None) -> io.TextIOWrapper:
    """Make a text stream on a file descriptor, with the encoding of the stream that Python made."""
    buffered = io.BufferedWriter(_Unread(number, "w", closefd=False))
    return io.TextIOWrapper(
        buffered,
        encoding=getattr(given, "encoding", None) or "utf-8",
        errors=getattr(given, "errors", None) or "backslashreplace",
        line_buffering=getattr(given, "line_buffering", True),
        write_through=number == 2,
    )


class _Unread(io.FileIO):
    """A file that becomes the null device once nobody reads it any longer."""

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
