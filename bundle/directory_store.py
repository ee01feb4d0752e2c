"""A store of registered versions in a directory: one rename creates a version with all its files.

<name>/.lock                         held, shared, by each registration and each removal
<name>/.staging/<id>/files/...       where a registration copies to
<name>/<version>/...                 .staging/<id>, renamed; a removal renames it back
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundle.bundle_types import BundleFile
from bundle.manifest import FileRecord, Manifest
from bundle.version_content import Change, changes
from bundle.version_store import MANIFEST, Staged, copy, number_of
from common.atomic_files import write_whole


class DirectoryStore:
    """A store in a directory of this machine, or in one that is mounted on it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """List the names that have a version, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if folder.is_dir() and self.versions(folder.name))

    def versions(self, name: str) -> list[int]:
        """List a name's versions, ascending."""
        return sorted(number for number in self._numbers(name) if (self._folder(name, number) / MANIFEST).is_file())

    def next_version(self, name: str) -> int:
        """Return the lowest number above every number in the name's folder."""
        return max(self._numbers(name), default=0) + 1

    def _numbers(self, name: str) -> list[int]:
        folder = self.root / name
        children = folder.iterdir() if folder.is_dir() else iter(())
        return [number for child in children if (number := number_of(child.name)) is not None]

    def _folder(self, name: str, version: int) -> Path:
        return self.root / name / str(version)

    def read(self, name: str, version: int, file: str) -> bytes | None:
        """Read a small file of a version's folder; None where it is missing."""
        try:
            return (self._folder(name, version) / file).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, version: int, file: str, data: bytes) -> None:
        """Replace a small file of a version's folder at once."""
        write_whole(self._folder(name, version) / file, data)

    @contextlib.contextmanager
    def stage(self, name: str, files: Sequence[BundleFile], records: Sequence[FileRecord]) -> Iterator[Staged]:
        """Copy files into the store; the context commits them as a version, or removes them at its end."""
        home = self.root / name
        with self._scratch(home) as folder:
            yield _StagedFolder(home, folder, tuple(_place(folder / "files", files, records)))

    @contextlib.contextmanager
    def _scratch(self, home: Path) -> Iterator[Path]:
        """Name a new folder beside the versions of a name; whatever is there at the end is removed."""
        home.mkdir(parents=True, exist_ok=True)
        staging = home / ".staging"
        with (home / ".lock").open("w") as lock:
            _sweep(lock, staging)
            folder = staging / uuid.uuid4().hex
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # another registration's staging is in it
                    staging.rmdir()

    def remove(self, manifest: Manifest) -> None:
        """Remove a version: one rename takes its folder away."""
        home = self.root / manifest.name
        with self._scratch(home) as folder, contextlib.suppress(FileNotFoundError):
            folder.parent.mkdir(exist_ok=True)
            (home / str(manifest.version)).rename(folder)

    def changes(self, manifest: Manifest) -> Iterator[Change]:
        """Compare a version's files with its manifest, by size and time, and yield each difference."""
        return changes(self.local_path(manifest), manifest)

    def restore(self, manifest: Manifest, record: FileRecord, source: BundleFile) -> None:
        """Replace a file of a version at once, and give it the recorded time."""
        target = self.local_path(manifest) / record.path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{uuid.uuid4().hex}")
        try:
            placed = _place_file(source, temporary, record)
            os.utime(temporary, ns=(placed.mtime_ns or 0, record.mtime_ns or placed.mtime_ns or 0))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def location(self, manifest: Manifest) -> str:
        """Return the path of a version's files."""
        return str(self.local_path(manifest))

    def local_path(self, manifest: Manifest) -> Path:
        """Return the folder with a version's files."""
        return self.root / manifest.name / manifest.content

    def open(self, manifest: Manifest, file: str) -> Any:
        """Open a file of a version for reading bytes."""
        return (self.local_path(manifest) / file).open("rb")


class _StagedFolder:
    content = "{version}/files"

    def __init__(self, home: Path, folder: Path, files: tuple[FileRecord, ...]) -> None:
        self.home = home
        self.folder = folder
        self.files = files

    def commit(self, version: int, manifest: Manifest) -> bool:
        write_whole(self.folder / MANIFEST, manifest.to_bytes())
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
    """Remove the remains of killed registrations, and join the living ones.

    Each living registration holds a shared lock while it has files in the folder, so the exclusive lock tells that
    there is none.
    """
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
        yield _place_file(file, target, record)
    for made in sorted(folders, reverse=True):
        _sync_folder(made)


def _place_file(file: BundleFile, target: Path, record: FileRecord) -> FileRecord:
    with file.open() as source, target.open("xb") as sink:
        copy(source, sink, record)
        sink.flush()
        os.fsync(sink.fileno())
    # Versions are immutable: this keeps people from editing one by accident.
    target.chmod(target.stat().st_mode & 0o444)
    return replace(record, mtime_ns=target.stat().st_mtime_ns)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
