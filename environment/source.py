"""The entry script's source directory as content: copied, the same for every target."""

import shutil
from pathlib import Path

from environment.files import source_files

__all__ = ["copy_source"]


def copy_source(directory: Path, destination: Path) -> None:
    """Copy a source directory's files to `destination`, which is made."""
    destination.mkdir(parents=True, exist_ok=True)
    for file in source_files(directory):
        copy = destination / file.relative_to(directory)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
