"""The entry script's source directory: the files that a service gets, the same on every target.

Links are followed, also out of the folder: the service gets the files behind them as if they lay in the folder, so
`common -> ../common` works on every target. The service does not get names that start with a dot, Python's caches,
and, beside a `pyproject.toml`, the folders that build tools leave.
"""

import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SourceFolder", "copy_source", "read_source"]

_BUILT = ("build", "dist")


@dataclass
class SourceFolder:
    """A source folder's content; paths are relative to the folder.

    Attributes:
        files: The files that a service gets, sorted.
        outside: The links that leave the folder, with the places that they lead to.
        problems: The reason and the fix for each file or link that a service cannot get.
    """

    files: list[Path] = field(default_factory=list)
    outside: dict[Path, Path] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)


def read_source(folder: Path) -> SourceFolder:
    """Read a source folder, without its files' contents."""
    found = SourceFolder()
    _walk(found, folder, Path(), (folder.resolve(),))
    found.files.sort()
    return found


def copy_source(directory: Path, destination: Path) -> None:
    """Copy a source directory's files to a folder, and make the folder."""
    destination.mkdir(parents=True, exist_ok=True)
    for path in read_source(directory).files:
        copy = destination / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(directory / path, copy)


def _walk(found: SourceFolder, folder: Path, path: Path, trail: tuple[Path, ...]) -> None:
    names = sorted(child.name for child in (folder / path).iterdir())
    for name in names:
        if name.startswith(".") or name == "__pycache__" or name.endswith(".egg-info"):
            continue
        if path == Path() and name in _BUILT and "pyproject.toml" in names:
            continue
        _visit(found, folder, path / name, trail)


def _visit(found: SourceFolder, folder: Path, path: Path, trail: tuple[Path, ...]) -> None:
    place = folder / path
    try:
        real = place.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError):  # RuntimeError: Python before 3.13 raises it for a loop of links
        if not place.is_symlink():
            return  # somebody removed it meanwhile
        found.problems[path] = f"a link to '{place.readlink()}', which leads nowhere; remove it, or put the file there"
        return
    if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in path.name):
        found.problems[path] = "the name is no UTF-8 text; rename it"
        return
    if place.is_symlink() and not real.is_relative_to(trail[0]):
        found.outside[path] = real
    if stat.S_ISDIR(mode):
        if any(above.is_relative_to(real) for above in trail):
            found.problems[path] = f"a link to '{place.readlink()}', a folder that contains it; remove the link"
        elif not os.access(place, os.R_OK | os.X_OK):
            found.problems[path] = "a folder that cannot be read (permission denied)"
        else:
            _walk(found, folder, path, (*trail, real))
    elif not stat.S_ISREG(mode):
        found.problems[path] = "no regular file; expected files and folders only; remove it"
    elif not os.access(place, os.R_OK):
        found.problems[path] = "a file that cannot be read (permission denied)"
    else:
        found.files.append(path)
