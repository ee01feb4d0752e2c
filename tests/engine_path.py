"""What PYTHONPATH holds where a test runs the embedded engine in a process of its own."""

import os
from pathlib import Path

KEPT_KEYS = Path(__file__).with_name("kept_keys")
"""Its `sitecustomize.py` keeps keys from one command to the next."""


def engine_path(*folders: Path | str) -> str:
    """The folders, and the one by which the engine's commands keep the keys that they derive."""
    return os.pathsep.join(map(str, (*folders, KEPT_KEYS)))
