"""Digests of source folders."""

import hashlib
import stat
from pathlib import Path

from environment.source_folder import read_source

__all__ = ["digest_of", "is_executable"]


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
