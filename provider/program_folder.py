"""Where a stack's state directory is: as resources name it, and on this machine."""

from pathlib import Path

__all__ = ["SOURCES", "here", "state_directory"]

SOURCES = Path(__file__).resolve().parents[1]
"""The folder of this package, with the sources that become part of environments."""


def state_directory(directory: str) -> str:
    """Name the state directory in a resource's inputs: a folder of the program's is named from there.

    So a state means what belongs to its own checkout, wherever that was moved, and a copy's state not the original's.
    The engines start programs and providers in the program's folder.
    """
    path, program = Path(directory).resolve(), Path.cwd().resolve()
    return str(path.relative_to(program)) if path.is_relative_to(program) else str(path)


def here(path: Path) -> Path:
    """The state directory on this machine that a resource's inputs name."""
    return Path.cwd() / path
