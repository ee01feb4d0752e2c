"""Files that are there whole or not at all, and digests of folders."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from environment.source import read_source

__all__ = ["digest_of", "is_executable", "write_atomically"]


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


def is_executable(file: Path) -> bool:
    """Tell whether its owner may execute a file."""
    return bool(file.stat().st_mode & stat.S_IXUSR)


def digest_of(folder: Path) -> str:
    """Digest a source folder: the SHA-256, in hex, over its files' names, contents and whether they are executable."""
    digest = hashlib.sha256()
    for path in read_source(folder).files:
        content = (folder / path).read_bytes()
        kind = "x" * is_executable(folder / path)
        digest.update(f"{path.as_posix()}\0{len(content)}\0{kind}".encode())
        digest.update(content)
    return digest.hexdigest()
