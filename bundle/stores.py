"""Where registered versions are kept: in a directory, or in an object store that fsspec reaches.

Both keep `<registry>/<name>/<version>/manifest.json`, which makes a version registered, and give it into being at once:

- a directory gets the version's folder by one rename, files and all (`<name>/<version>/files/...`);
- an object store has no rename: files are put under a folder of their own first (`<name>/content/<id>/...`), then the
  manifest is created on the condition that there is none yet.

So a registration that is killed leaves no version, and of two that want the same number one is told that it is taken.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from bundle.manifest import FileRecord, Manifest, hash_stream
from bundle.model import BundleFile
from bundle.tree import is_junk

MANIFEST = "manifest.json"
PROPERTIES = "properties.json"


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

    def changes(self, manifest: Manifest, *, thorough: bool) -> Iterator[str]:
        """What differs between a version's files and its manifest; `thorough` hashes every file."""

    def location(self, manifest: Manifest) -> str:
        """Where the files of a version are: a path, or a URL."""

    def local_path(self, manifest: Manifest) -> Path | None:
        """The folder with the files of a version, where that is on this machine."""

    def open(self, manifest: Manifest, file: str) -> Any:
        """A file of a version, open for reading bytes."""


def _number(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and not name.startswith("0") else None


def _copy(source: Any, sink: Any, record: FileRecord) -> None:
    if hash_stream(source, sink) != (record.size, record.sha256):
        raise ChangedError(f"{record.path}: was changed while it was registered; register it again when it is complete")


class DirectoryStore:
    """A store in a directory of this machine, or one mounted on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if folder.is_dir() and self.versions(folder.name))

    def versions(self, name: str) -> list[int]:
        return sorted(number for number in self._numbers(name) if (self._folder(name, number) / MANIFEST).is_file())

    def next_version(self, name: str) -> int:
        return max(self._numbers(name), default=0) + 1

    def _numbers(self, name: str) -> list[int]:
        folder = self.root / name
        children = folder.iterdir() if folder.is_dir() else iter(())
        return [number for child in children if (number := _number(child.name)) is not None]

    def _folder(self, name: str, version: int) -> Path:
        return self.root / name / str(version)

    def read(self, name: str, version: int, file: str) -> bytes | None:
        try:
            return (self._folder(name, version) / file).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, version: int, file: str, data: bytes) -> None:
        target = self._folder(name, version) / file
        temporary = target.with_name(f".{file}.{uuid.uuid4().hex}")
        try:
            _write_durably(temporary, data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def stage(self, name: str, files: Sequence[BundleFile], records: Sequence[FileRecord]) -> Iterator[Staged]:
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        staging = home / ".staging"
        with (home / ".lock").open("w") as lock:
            _sweep(lock, staging)
            folder = staging / uuid.uuid4().hex
            try:
                yield _StagedFolder(home, folder, tuple(_place(folder / "files", files, records)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # another registration's staging is in it
                    staging.rmdir()

    def changes(self, manifest: Manifest, *, thorough: bool) -> Iterator[str]:
        folder = self.local_path(manifest)
        expected = {record.path: record for record in manifest.files}
        for path in _paths_below(folder):
            if path not in expected:
                yield f"{folder / path}: was added"
        for record in manifest.files:
            file = folder / record.path
            try:
                status = file.stat()
            except OSError:
                yield f"{file}: is missing"
                continue
            if status.st_size != record.size:
                yield f"{file}: has {status.st_size} bytes, was registered with {record.size}"
            elif thorough or status.st_mtime_ns != record.mtime_ns:
                with file.open("rb") as stream:
                    if hash_stream(stream)[1] != record.sha256:
                        yield f"{file}: has other content than was registered"

    def location(self, manifest: Manifest) -> str:
        return str(self.local_path(manifest))

    def local_path(self, manifest: Manifest) -> Path:
        return self.root / manifest.name / manifest.content

    def open(self, manifest: Manifest, file: str) -> Any:
        return (self.local_path(manifest) / file).open("rb")


class _StagedFolder:
    content = "{version}/files"

    def __init__(self, home: Path, folder: Path, files: tuple[FileRecord, ...]) -> None:
        self.home = home
        self.folder = folder
        self.files = files

    def commit(self, version: int, manifest: Manifest) -> bool:
        _write_durably(self.folder / MANIFEST, manifest.to_bytes())
        _sync_folder(self.folder)
        try:
            self.folder.rename(self.home / str(version))
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            raise
        _sync_folder(self.home)
        return True


def _sweep(lock: Any, staging: Path) -> None:
    """Removes what killed registrations left; every live one holds the lock, shared, while it has something there."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        shutil.rmtree(staging, ignore_errors=True)
    fcntl.flock(lock, fcntl.LOCK_SH)


def _place(folder: Path, files: Sequence[BundleFile], records: Sequence[FileRecord]) -> Iterator[FileRecord]:
    folder.mkdir(parents=True)
    folders = {folder}
    for file, record in zip(files, records, strict=True):
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.update(parent for parent in target.parents if parent.is_relative_to(folder))
        with file.source.open("rb") as source, target.open("xb") as sink:
            _copy(source, sink, record)
            sink.flush()
            os.fsync(sink.fileno())
        # Versions are immutable: nobody should edit one by accident.
        target.chmod(target.stat().st_mode & 0o444)
        yield FileRecord(record.path, record.size, record.sha256, target.stat().st_mtime_ns)
    for made in sorted(folders, reverse=True):
        _sync_folder(made)


def _paths_below(folder: Path) -> Iterator[str]:
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        for name in files:
            if not is_junk(name):
                yield (Path(base) / name).relative_to(folder).as_posix()


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ObjectStore:
    """A store under a path of a filesystem that fsspec reaches, such as `s3`, `gs`, `abfs` or `memory`."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")

    def names(self) -> list[str]:
        return sorted(name for name in self._children(self.root) if self.versions(name))

    def versions(self, name: str) -> list[int]:
        return sorted(
            number for number in self._numbers(name) if self.filesystem.exists(self._path(name, number, MANIFEST))
        )

    def next_version(self, name: str) -> int:
        return max(self._numbers(name), default=0) + 1

    def _numbers(self, name: str) -> list[int]:
        children = self._children(f"{self.root}/{name}")
        return [number for child in children if (number := _number(child)) is not None]

    def _children(self, path: str) -> list[str]:
        self.filesystem.invalidate_cache()
        try:
            return [str(child).rstrip("/").rpartition("/")[2] for child in self.filesystem.ls(path, detail=False)]
        except FileNotFoundError:
            return []

    def _path(self, name: str, version: int, file: str) -> str:
        return f"{self.root}/{name}/{version}/{file}"

    def read(self, name: str, version: int, file: str) -> bytes | None:
        try:
            return bytes(self.filesystem.cat_file(self._path(name, version, file)))
        except FileNotFoundError:
            return None

    def write(self, name: str, version: int, file: str, data: bytes) -> None:
        self.filesystem.pipe_file(self._path(name, version, file), data)

    @contextlib.contextmanager
    def stage(self, name: str, files: Sequence[BundleFile], records: Sequence[FileRecord]) -> Iterator[Staged]:
        staged = _StagedObjects(self, name, tuple(records))
        try:
            for file, record in zip(files, records, strict=True):
                path = f"{self.root}/{name}/{staged.content}/{file.path}"
                self.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
                with file.source.open("rb") as source, self.filesystem.open(path, "wb") as sink:
                    _copy(source, sink, record)
            yield staged
        finally:
            if not staged.committed:
                with contextlib.suppress(FileNotFoundError):
                    self.filesystem.rm(f"{self.root}/{name}/{staged.content}", recursive=True)

    def changes(self, manifest: Manifest, *, thorough: bool) -> Iterator[str]:
        folder = f"{self.root}/{manifest.name}/{manifest.content}"
        self.filesystem.invalidate_cache()
        found = {path.partition(f"{folder.lstrip('/')}/")[2]: info for path, info in self._find(folder).items()}
        for record in manifest.files:
            info = found.pop(record.path, None)
            if info is None:
                yield f"{folder}/{record.path}: is missing"
            elif info["size"] != record.size:
                yield f"{folder}/{record.path}: has {info['size']} bytes, was registered with {record.size}"
            elif thorough:
                with self.open(manifest, record.path) as stream:
                    if hash_stream(stream)[1] != record.sha256:
                        yield f"{folder}/{record.path}: has other content than was registered"
        for path in sorted(found):
            if path:
                yield f"{folder}/{path}: was added"

    def _find(self, folder: str) -> dict[str, Any]:
        return dict(self.filesystem.find(folder, detail=True))

    def location(self, manifest: Manifest) -> str:
        return str(self.filesystem.unstrip_protocol(f"{self.root}/{manifest.name}/{manifest.content}"))

    def local_path(self, manifest: Manifest) -> None:
        return None

    def open(self, manifest: Manifest, file: str) -> Any:
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
