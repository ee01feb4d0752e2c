"""A registered version's files in a folder: compare them with the manifest, and copy them with a check."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.folder_tree import is_junk
from bundle.manifest import FileRecord, Manifest, hash_stream

__all__ = ["Change", "changes", "copy_out"]


@dataclass(frozen=True)
class Change:
    """A file that differs from its registration.

    Attributes:
        path: The file.
        what: What is wrong with it.
        record: What was registered; None for a file that somebody added.
    """

    path: str
    what: str
    record: FileRecord | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"

    def explained(self, manifest: Manifest, *, downloaded: bool = False) -> str:
        """Write the error's line: the change, and the fix for the version or for its download."""
        if self.record is None:
            fix = "remove it"
        elif downloaded:
            fix = "remove the folder of this download: it is downloaded again"
        else:
            fix = (
                f"put the original back (SHA-256 {self.record.sha256}), or remove the file and deploy the folder that "
                "was registered again (`path` in models), which restores it"
            )
        return f"{self}; {manifest.name}:{manifest.version} is immutable: {fix}"


def changes(folder: Path, manifest: Manifest) -> Iterator[Change]:
    """Compare a folder with a manifest, and yield each difference.

    A file with the recorded size and time of change counts as unchanged; where no time is recorded, the size is enough.
    Any other file is hashed.
    """
    found = dict(_files_below(folder))
    for record in manifest.files:
        file = found.pop(record.path, None)
        if file is None:
            yield Change(str(folder / record.path), "is missing", record)
        elif (problem := _difference(file, record, thorough=False)) is not None:
            yield Change(str(file), problem, record)
    for path in sorted(found):
        yield Change(str(folder / path), "was added")


def copy_out(folder: Path, manifest: Manifest, target: Path) -> Iterator[Change]:
    """Copy the files of a version to `target`, and yield each file whose copy differs from its registration.

    The caller may write to its copy: the version never changes. A file of `target` that is as registered stays, and
    files that belong to no version are left alone. The check hashes the copy and not the original, because the service
    reads the copy. File systems that share blocks (Btrfs, XFS) copy no data.
    """
    for record in manifest.files:
        copy = target / record.path
        if copy.exists() and _difference(copy, record, thorough=True) is None:
            continue
        original = folder / record.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        try:
            _copy(original, copy)
        except FileNotFoundError:
            yield Change(str(original), "is missing", record)
            continue
        if (problem := _difference(copy, record, thorough=True)) is not None:
            yield Change(str(original), problem, record)


def _copy(original: Path, copy: Path) -> None:
    with original.open("rb") as source, copy.open("xb") as sink:
        left = os.fstat(source.fileno()).st_size
        try:
            while left > 0 and (copied := os.copy_file_range(source.fileno(), sink.fileno(), left)):
                left -= copied
        except OSError:  # this pair of file systems cannot: read and write instead
            source.seek(0)
            sink.seek(0)
            sink.truncate()
            shutil.copyfileobj(source, sink)


def _difference(file: Path, record: FileRecord, *, thorough: bool) -> str | None:
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file, was registered as one"
    if status.st_size != record.size:
        return f"has {status.st_size} bytes, was registered with {record.size}"
    if thorough or record.mtime_ns not in (None, status.st_mtime_ns):
        with file.open("rb") as stream:
            if hash_stream(stream)[1] != record.sha256:
                return "has other content than was registered"
    return None


def _files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield a folder's files with their paths in it; a linked folder counts as a file: a version has no links."""
    for base, folders, files in os.walk(folder):
        linked = [name for name in folders if Path(base, name).is_symlink()]
        folders[:] = [name for name in folders if not is_junk(name)]
        for name in (*files, *linked):
            if not is_junk(name):
                yield Path(base, name).relative_to(folder).as_posix(), Path(base, name)
