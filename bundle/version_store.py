"""Where registered versions are kept: in a directory, or in an object store that fsspec reaches.

Both keep `<registry>/<name>/<version>/manifest.json`, which makes a version registered, and give it into being at once:

- a directory gets the version's folder by one rename, files and all (`<name>/<version>/files/...`);
- an object store has no rename: files are put under a folder of their own first (`<name>/content/<id>/...`), then the
  manifest is created on the condition that there is none yet.

So a registration that is killed leaves no version, and of two that want the same number one is told that it is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from bundle.bundle_types import BundleFile
from bundle.manifest import FileRecord, Manifest, hash_stream
from bundle.version_content import Change

MANIFEST = "manifest.json"
PROPERTIES = "properties.json"
MODELS = "models.json"


class ChangedError(ValueError):
    """A file that is not what it was when it was hashed; the message names it."""


class Staged(Protocol):
    """Content that is in the store, but belongs to no version yet."""

    def commit(self, version: int, manifest: Manifest) -> bool:
        """Makes it a version; False where that version is there already."""

    @property
    def content(self) -> str:
        """Where the files of the version will lie, relative to the model's folder, with `{version}` for the number."""

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """The records of the files, as they are in the store."""


class Store(Protocol):
    """A place for registered versions. Names and versions are valid ones."""

    def names(self) -> list[str]:
        """The names with at least one version, sorted."""

    def versions(self, name: str) -> list[int]:
        """The versions of a name, ascending; empty for one that is not there."""

    def next_version(self, name: str) -> int:
        """The lowest number above everything that is in the name's folder."""

    def read(self, name: str, version: int, file: str) -> bytes | None:
        """A small file of a version's folder; None where it is missing."""

    def write(self, name: str, version: int, file: str, data: bytes) -> None:
        """Replaces a small file of a version's folder at once."""

    def stage(
        self, name: str, files: Sequence[BundleFile], records: Sequence[FileRecord]
    ) -> contextlib.AbstractContextManager[Staged]:
        """Copies files into the store, to be committed in the context; what is not committed is removed at its end.

        Raises:
            ChangedError: a file is not what its record says.
        """

    def changes(self, manifest: Manifest) -> Iterator[Change]:
        """Compare a version's files with its manifest, by size and time, and yield what differs."""

    def restore(self, manifest: Manifest, record: FileRecord, source: BundleFile) -> None:
        """Replaces a file of a version by `source`, at once where the store can.

        Raises:
            ChangedError: `source` is not what the record says.
        """

    def location(self, manifest: Manifest) -> str:
        """Where the files of a version are: a path, or a URL."""

    def local_path(self, manifest: Manifest) -> Path | None:
        """The folder with the files of a version, where that is on this machine."""

    def open(self, manifest: Manifest, file: str) -> Any:
        """A file of a version, open for reading bytes."""


def number_of(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and not name.startswith("0") else None


def copy(source: Any, sink: Any, record: FileRecord) -> None:
    if hash_stream(source, sink) != (record.size, record.sha256):
        raise ChangedError(f"{record.path}: was changed while it was registered; register it again when it is complete")
