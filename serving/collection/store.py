"""Data collection, the place of the files: a folder for each day, on this machine or where fsspec writes.

Each file appears when it is complete.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from serving.collection.file_name import day_folder
from serving.errors import ServingError
from serving.settings import SettingsError


class DayIsFull(ServingError):
    """The folder of a day holds COLLECT_MAX_DAY_BYTES."""


class Store:
    """Writes into the folders of COLLECT_URL."""

    def __init__(self, url: str, max_bytes: int, below: str = "") -> None:
        """Prepare; the first `write` opens the store, because its clients survive no fork.

        Args:
            url: a folder of this machine, or a URL that fsspec knows.
            max_bytes: the limit for the folder of a day.
            below: a folder below the URL, which holds the days' folders.

        Raises:
            SettingsError: fsspec does not know the URL, or lacks a package for it.
        """
        _check_url(url)
        self.url = url
        self._max_bytes = max_bytes
        self._below = below
        self._files: Any = None
        self._root = ""
        self._day = ""
        self._day_bytes = 0

    def write(self, day: str, name: str, content: bytes) -> None:
        """Write one file.

        Args:
            day: its day, as in `2026-11-21`.
            name: its name in the folder of the day.
            content: its bytes.

        Raises:
            DayIsFull: the folder of the day would hold more than its limit.
            Exception: the store's own, where it cannot write.
        """
        if self._files is None:
            files, root = fsspec.core.url_to_fs(self.url)
            self._files, self._root = files, "/".join(filter(None, (root.rstrip("/"), self._below)))
        folder = f"{self._root}/{day_folder(day)}"
        self._make_room(day, folder, len(content))
        self._files.makedirs(folder, exist_ok=True)
        if isinstance(self._files, LocalFileSystem):
            _write_local(folder, name, content)
        else:
            with self._files.transaction, self._files.open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        self._day_bytes += len(content)

    def _make_room(self, day: str, folder: str, size: int) -> None:
        """Refuse what would exceed the limit of a day.

        Raises:
            DayIsFull: the folder of the day would hold more than its limit.
        """
        if day != self._day:
            self._day_bytes = self._written_in(folder)
            self._day = day
        if self._day_bytes + size > self._max_bytes:
            raise DayIsFull

    def _written_in(self, folder: str) -> int:
        try:
            return int(self._files.du(folder))
        except FileNotFoundError:
            return 0


def _write_local(folder: str, name: str, content: bytes) -> None:
    # fsspec would write into the folder for temporary files. Where that is another disk, others see a file that grows.
    part = Path(folder, f".{name}.part")
    try:
        part.write_bytes(content)
        part.replace(Path(folder, name))
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _check_url(url: str) -> None:
    """Check that fsspec knows the URL's protocols and has their packages, without opening anything."""
    try:
        for part in url.split("::"):
            protocol, _ = fsspec.core.split_protocol(part)
            fsspec.get_filesystem_class(protocol or "file")
    except Exception as error:
        expected = "expected a folder or a URL that fsspec knows"
        raise SettingsError([f"COLLECT_URL: {expected}, received {shown(url)!r}: {error}"]) from None


def shown(text: str) -> str:
    """Take out of the URLs of a text the parts that may be a key: user, password, query."""
    return re.sub(r"(://)[^/@\s]*@|\?\S*", r"\1", text)
