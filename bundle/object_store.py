"""A store of registered versions in an object store: writing the manifest creates the version, and succeeds once."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from bundle.bundle_types import BundleFile
from bundle.manifest import FileRecord, Manifest
from bundle.version_content import Change
from bundle.version_store import MANIFEST, Staged, copy, number_of


class ObjectStore:
    """A store under a path of a filesystem of fsspec's, such as `s3`, `gs`, `abfs` or `memory`."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")

    def names(self) -> list[str]:
        """List the names that have a version, sorted."""
        return sorted(name for name in self._children(self.root) if self.versions(name))

    def versions(self, name: str) -> list[int]:
        """List a name's versions, ascending."""
        return sorted(
            number for number in self._numbers(name) if self.filesystem.exists(self._path(name, number, MANIFEST))
        )

    def next_version(self, name: str) -> int:
        """Return the lowest number above every number in the name's folder."""
        return max(self._numbers(name), default=0) + 1

    def _numbers(self, name: str) -> list[int]:
        children = self._children(f"{self.root}/{name}")
        return [number for child in children if (number := number_of(child)) is not None]

    def _children(self, path: str) -> list[str]:
        self.filesystem.invalidate_cache()
        try:
            return [str(child).rstrip("/").rpartition("/")[2] for child in self.filesystem.ls(path, detail=False)]
        except FileNotFoundError:
            return []

    def _path(self, name: str, version: int, file: str) -> str:
        return f"{self.root}/{name}/{version}/{file}"

    def read(self, name: str, version: int, file: str) -> bytes | None:
        """Read a small file of a version's folder; None where it is missing."""
        try:
            return bytes(self.filesystem.cat_file(self._path(name, version, file)))
        except FileNotFoundError:
            return None

    def write(self, name: str, version: int, file: str, data: bytes) -> None:
        """Replace a small file of a version's folder at once."""
        self.filesystem.pipe_file(self._path(name, version, file), data)

    @contextlib.contextmanager
    def stage(self, name: str, files: Sequence[BundleFile], records: Sequence[FileRecord]) -> Iterator[Staged]:
        """Copy files into the store; the context commits them as a version, or removes them at its end."""
        staged = _StagedObjects(self, name, tuple(records))
        try:
            for file, record in zip(files, records, strict=True):
                self._put(f"{self.root}/{name}/{staged.content}/{file.path}", file, record)
            yield staged
        finally:
            if not staged.committed:
                with contextlib.suppress(FileNotFoundError):
                    self.filesystem.rm(f"{self.root}/{name}/{staged.content}", recursive=True)

    def changes(self, manifest: Manifest) -> Iterator[Change]:
        """Compare a version's files with its manifest, by size, and yield each difference."""
        folder = f"{self.root}/{manifest.name}/{manifest.content}"
        self.filesystem.invalidate_cache()
        found = {path.partition(f"{folder.lstrip('/')}/")[2]: info for path, info in self._find(folder).items()}
        for record in manifest.files:
            path, info = f"{folder}/{record.path}", found.pop(record.path, None)
            if info is None:
                yield Change(path, "is missing", record)
            elif info["size"] != record.size:
                yield Change(path, f"has {info['size']} bytes, was registered with {record.size}", record)
        for path in sorted(found):
            if path:
                yield Change(f"{folder}/{path}", "was added")

    def restore(self, manifest: Manifest, record: FileRecord, source: BundleFile) -> None:
        """Replace a file of a version."""
        self._put(f"{self.root}/{manifest.name}/{manifest.content}/{record.path}", source, record)

    def remove(self, manifest: Manifest) -> None:
        """Remove a version: its manifest first, which made it one."""
        folder = f"{self.root}/{manifest.name}"
        for path in (f"{manifest.version}/{MANIFEST}", str(manifest.version), manifest.content):
            with contextlib.suppress(FileNotFoundError):
                self.filesystem.rm(f"{folder}/{path}", recursive=True)

    def _put(self, path: str, file: BundleFile, record: FileRecord) -> None:
        self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        with file.open() as source, self.filesystem.open(path, "wb") as sink:
            copy(source, sink, record)

    def _find(self, folder: str) -> dict[str, Any]:
        return dict(self.filesystem.find(folder, detail=True))

    def location(self, manifest: Manifest) -> str:
        """Return the URL of a version's files."""
        return str(self.filesystem.unstrip_protocol(f"{self.root}/{manifest.name}/{manifest.content}"))

    def local_path(self, manifest: Manifest) -> None:
        """Return None: no version is on this machine."""
        return

    def open(self, manifest: Manifest, file: str) -> Any:
        """Open a file of a version for reading bytes."""
        return self.filesystem.open(f"{self.root}/{manifest.name}/{manifest.content}/{file}", "rb")


class _StagedObjects:
    def __init__(self, store: ObjectStore, name: str, files: tuple[FileRecord, ...]) -> None:
        self.store = store
        self.name = name
        self.files = files
        self.content = f"content/{uuid.uuid4().hex}"
        self.committed = False

    def commit(self, version: int, manifest: Manifest) -> bool:
        path = f"{self.store.root}/{self.name}/{version}/{MANIFEST}"
        try:
            self.store.filesystem.pipe_file(path, manifest.to_bytes(), mode="create")
        except FileExistsError:
            return False
        self.committed = True
        return True
