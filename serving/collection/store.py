"""Data collection, where files go: a folder a day, of this machine or wherever fsspec writes. They appear whole."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from serving.errors import ServingError
from serving.settings import SettingsError


class DayIsFull(ServingError):
    """The folder of a day has COLLECT_MAX_DAY_BYTES."""


class Store:
    """The folders of COLLECT_URL."""

    def __init__(self, url: str, max_day_bytes: int) -> None:
        """Raises :class:`SettingsError`. Nothing is opened before the first file: clients survive no fork."""
        _check_url(url)
        self._url = url
        self._max_day_bytes = max_day_bytes
        self._files: Any = None
        self._root = ""
        self._day = ""
        self._day_bytes = 0

    def write(self, day: str, name: str, content: bytes) -> None:
        """Write one file. Raises :class:`DayIsFull`, and whatever the store raises."""
        if self._files is None:
            files, root = fsspec.core.url_to_fs(self._url)
            self._files, self._root = files, root.rstrip("/")
        folder = f"{self._root}/date={day}"
        if day != self._day:
            self._day_bytes = self._written_in(folder)
            self._day = day
        if self._day_bytes + len(content) > self._max_day_bytes:
            raise DayIsFull
        self._files.makedirs(folder, exist_ok=True)
        if isinstance(self._files, LocalFileSystem):
            _write_local(folder, name, content)
        else:
            with self._files.transaction, self._files.open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        self._day_bytes += len(content)

    def _written_in(self, folder: str) -> int:
        try:
            return int(self._files.du(folder))
        except FileNotFoundError:
            return 0


def _write_local(folder: str, name: str, content: bytes) -> None:
    # fsspec would write to the folder for temporary files, which may be on another disk: then the file grows in sight.
    part = Path(folder, f".{name}.part")
    try:
        part.write_bytes(content)
        part.replace(Path(folder, name))
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _check_url(url: str) -> None:
    """See that fsspec knows the URL's protocols, and that their packages are there, without opening anything."""
    try:
        for part in url.split("::"):
            protocol, _ = fsspec.core.split_protocol(part)
            fsspec.get_filesystem_class(protocol or "file")
    except Exception as error:
        expected = "expected a folder or a URL that fsspec knows"
        raise SettingsError([f"COLLECT_URL: {expected}, received {shown(url)!r}: {error}"]) from None


def shown(text: str) -> str:
    """A text with URLs in it, without what may be a key: user, password, query."""
    return re.sub(r"(://)[^/@\s]*@|\?\S*", r"\1", text)
