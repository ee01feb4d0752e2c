"""Files that are there whole or not at all, and digests of folders."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["digest_of", "is_executable", "source_files", "write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that whoever reads it sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def source_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a source folder in a fixed order, without what Python and its build tools leave behind."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        left_behind = any(part == "__pycache__" or part.endswith(".egg-info") or part.startswith(".") for part in parts)
        if path.is_file() and not left_behind and parts[0] not in ("build", "dist"):
            yield path


def is_executable(file: Path) -> bool:
    """Tell whether its owner may execute a file."""
    return bool(file.stat().st_mode & stat.S_IXUSR)


def digest_of(folder: Path) -> str:
    """Digest a source folder: the SHA-256, in hex, over its files' names, contents and whether they are executable."""
    digest = hashlib.sha256()
    for path in source_files(folder):
        content = path.read_bytes()
        kind = "x" * is_executable(path)
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0{kind}".encode())
        digest.update(content)
    return digest.hexdigest()
