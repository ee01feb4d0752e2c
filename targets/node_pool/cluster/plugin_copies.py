"""The copies of a kubeconfig that Pulumi's Kubernetes plugin makes and leaves behind.

The plugin writes each kubeconfig that a provider is given as a text into a file of its owner's in the folder for
temporary files, for Helm releases, and removes none. Our own provider has no Helm releases, so nobody reads its copies:
they are known by their context's name, and removed as they appear.
"""

import contextlib
import os
import re
import time
from functools import cache
from pathlib import Path
from threading import Thread

import yaml

__all__ = ["CONTEXT", "remove", "remove_as_they_appear"]

CONTEXT = "triton-serving-objects"
_NAME = re.compile(r"kubeconfig\d+")
_PERIOD_SECONDS = 0.2


@cache
def remove_as_they_appear() -> None:
    """Remove the copies from now on, as long as this process lives."""
    Thread(target=_for_ever, name="kubeconfig-copies", daemon=True).start()


def remove() -> None:
    """Remove the copies that are there."""
    for file in Path(os.environ.get("TMPDIR") or "/tmp").iterdir():
        if _NAME.fullmatch(file.name):
            with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
                if _is_ours(file):
                    file.unlink()


def _is_ours(file: Path) -> bool:
    if file.is_symlink() or file.stat().st_uid != os.getuid():
        return False
    content = yaml.safe_load(file.read_text())
    return isinstance(content, dict) and content.get("current-context") == CONTEXT


def _for_ever() -> None:
    while True:
        with contextlib.suppress(OSError):
            remove()
        time.sleep(_PERIOD_SECONDS)
