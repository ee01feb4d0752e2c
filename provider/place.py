"""Where a stack's state directory is: as resources name it, and on this machine."""

from pathlib import Path

__all__ = ["PROJECT", "here", "state_directory"]

PROJECT = Path(__file__).resolve().parents[1]


def state_directory(directory: str) -> str:
    """Name the state directory in a resource's inputs: a folder of the project is named from there.

    So a state means what belongs to its own checkout, wherever that was moved, and a copy's state not the original's.
    """
    path = Path(directory).resolve()
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


def here(path: Path) -> Path:
    """The state directory on this machine that a resource's inputs name."""
    return PROJECT / path
