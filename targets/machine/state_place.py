"""The place of a state directory: what tells it from those of other clones on a machine or an engine that they share.

It stays what it was when the directory is moved, and a copy of the directory gets another one. So what a folder has
started is its own wherever it lies, and what its copy has started is not.
"""

import json
import secrets
from pathlib import Path
from typing import Any

from common.atomic_files import write_whole

__all__ = ["place_of"]

FILE = "place.json"


def place_of(state_directory: Path) -> str:
    """Read the place of a state directory, or make it: the path that it had first, and a word of its own."""
    state_directory = state_directory.resolve()
    state_directory.mkdir(parents=True, exist_ok=True)
    known = _read(state_directory)
    here = {"path": str(state_directory), "inode": state_directory.stat().st_ino}
    if not known or _is_copy(known, state_directory):
        place = f"{state_directory} ({secrets.token_hex(4)})"
    else:
        place = known["place"]
    if {**known, **here, "place": place} != known:
        write_whole(state_directory / FILE, json.dumps({**here, "place": place}, indent=2), mode=0o600)
    return str(place)


def _is_copy(known: dict[str, Any], state_directory: Path) -> bool:
    """Whether the directory was copied from one that is still where it was; else it was moved, or lies as before."""
    if known["path"] == str(state_directory) or known["inode"] == state_directory.stat().st_ino:
        return False
    return bool(_read(Path(known["path"])).get("place") == known["place"])


def _read(state_directory: Path) -> dict[str, Any]:
    file = state_directory / FILE
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
    return found
