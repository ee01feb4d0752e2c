"""The protocol of a store of registered versions: a directory, or an object store that fsspec reaches.

The file `<registry>/<name>/<version>/manifest.json` makes a version registered. Both stores create it at once:

- a directory renames a complete folder to `<name>/<version>`;
- an object store has no rename: it writes the files to a folder of their own (`<name>/content/<id>/...`), and then
  creates the manifest, on the condition that there is none yet.

So a killed registration leaves no version, and of two registrations with the same number one learns that it is taken.
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
    """A file changed after it was hashed; the message names it."""


class Staged(Protocol):
    """Content in the store that belongs to no version yet."""

    def commit(self, version: int, manifest: Manifest) -> bool:
        """Make the content a version; return False where that version exists already."""

    @property
    def content(self) -> str:
        """Return the future place of the files, relative to the model's folder, with `{version}` for the number."""

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Return the records of the files in the store."""


class Store(Protocol):
    """A place for registered versions; callers give valid names and versions."""

    def names(self) -> list[str]:
        """List the names that have a version, sorted."""

    def versions(self, name: str) -> list[int]:
        """List a name's versions, ascending; empty for an unknown name."""

    def next_version(self, name: str) -> int:
        """Return the lowest number above every number in the name's folder."""

    def read(self, name: str, version: int, file: str) -> bytes | None:
        """Read a small file of a version's folder; None where it is missing."""

    def write(self, name: str, version: int, file: str, data: bytes) -> None:
        """Replace a small file of a version's folder at once."""

    def stage(
        self, name: str, files: Sequence[BundleFile], records: Sequence[FileRecord]
    ) -> contextlib.AbstractContextManager[Staged]:
        """Copy files into the store; the context commits them as a version, or removes them at its end.

        Raises:
            ChangedError: A file differs from its record.
        """

    def changes(self, manifest: Manifest) -> Iterator[Change]:
        """Compare a version's files with its manifest, by size and time, and yield each difference."""

    def restore(self, manifest: Manifest, record: FileRecord, source: BundleFile) -> None:
        """Replace a file of a version by `source`, at once where the store can.

        Raises:
            ChangedError: `source` differs from the record.
        """

    def remove(self, manifest: Manifest) -> None:
        """Remove a version: from one moment to the next it is no version, and then its files go."""

    def location(self, manifest: Manifest) -> str:
        """Return the place of a version's files: a path, or a URL."""

    def local_path(self, manifest: Manifest) -> Path | None:
        """Return the folder with a version's files; None where they are not on this machine."""

    def open(self, manifest: Manifest, file: str) -> Any:
        """Open a file of a version for reading bytes."""


def number_of(name: str) -> int | None:
    """Return the version that a folder's name means; None where it means none."""
    return int(name) if name.isascii() and name.isdigit() and not name.startswith("0") else None


def copy(source: Any, sink: Any, record: FileRecord) -> None:
    """Copy a stream and check its content.

    Raises:
        ChangedError: The content differs from the record.
    """
    if hash_stream(source, sink) != (record.size, record.sha256):
        raise ChangedError(f"{record.path}: was changed while it was registered; register it again when it is complete")
