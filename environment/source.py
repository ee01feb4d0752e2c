"""The entry script's source directory as content: its files and their digest, the same for every target."""

import hashlib
import os
import shutil
from pathlib import Path

__all__ = ["copy_source", "source_digest", "source_files"]

# What editors, Python and version control leave behind; hidden files and folders are left out as well.
_IGNORED = frozenset({"__pycache__", "node_modules"})


def source_files(directory: Path) -> list[Path]:
    """List the files of a source directory, relative to it, sorted: no hidden ones, no caches, links followed."""
    found = []
    for folder, folders, files in os.walk(directory, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _IGNORED)
        found += [
            (Path(folder) / name).relative_to(directory)
            for name in files
            if not name.startswith(".") and not name.endswith((".pyc", "~"))
        ]
    return sorted(found)


def source_digest(directory: Path) -> str:
    """SHA-256 over the paths and contents of a source directory's files."""
    digest = hashlib.sha256()
    for file in source_files(directory):
        content = hashlib.sha256((directory / file).read_bytes()).hexdigest()
        digest.update(f"{file.as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def copy_source(directory: Path, destination: Path) -> None:
    """Copy a source directory's files to `destination`, which is made."""
    destination.mkdir(parents=True, exist_ok=True)
    for file in source_files(directory):
        (destination / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(directory / file, destination / file)
