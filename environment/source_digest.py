"""The digest of a source folder."""

import hashlib
import stat
from pathlib import Path

from environment.source_folder import read_source

__all__ = ["digest_of", "is_executable"]


def is_executable(file: Path) -> bool:
    """Tell whether a file's owner may execute it."""
    return bool(file.stat().st_mode & stat.S_IXUSR)


def digest_of(folder: Path) -> str:
    """Compute the SHA-256, in hex, over the names, contents and executable bits of a source folder's files."""
    digest = hashlib.sha256()
    for path in read_source(folder).files:
        content = (folder / path).read_bytes()
        kind = "x" * is_executable(folder / path)
        digest.update(f"{path.as_posix()}\0{len(content)}\0{kind}".encode())
        digest.update(content)
    return digest.hexdigest()
