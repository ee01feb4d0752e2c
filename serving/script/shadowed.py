"""Modules beside the script that it cannot import, because `search_path` lets others come first."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

logger = logging.getLogger("azmlinfsrv")


def warn(folders: Iterable[str]) -> None:
    """Name these modules in the log."""
    for path in modules(folders):
        logger.warning(
            "%s: `import %s` finds another module, of Python or of an installed package. Rename this one to import it.",
            path,
            path.stem,
        )


def modules(folders: Iterable[str]) -> list[Path]:
    """List the modules and packages in these folders whose names belong to others."""
    own = {Path(folder).resolve() for folder in folders}
    before = [entry for entry in sys.path if Path(entry).resolve() not in own]
    return [path for folder in sorted(own) for path in _modules_in(folder) if _is_found(path.stem, before)]


def _modules_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py"))):
            yield path


def _is_found(name: str, before: list[str]) -> bool:
    if name in sys.builtin_module_names:
        return True
    spec = PathFinder.find_spec(name, before)
    return spec is not None and spec.origin is not None  # a mere folder has no origin
