"""Where Python looks for modules: in the script's folders last.

A script may have a `types.py`, a `queue.py` or a folder `serving` beside it. These are the script's own, and must not
be what the standard library and the server get when they import theirs. However such a folder came onto `sys.path` (by
`-m`, which puts the working directory first, or by PYTHONPATH), it goes to the end. This module is imported before
anything else, and imports nothing that Python has not when it starts: no pathlib.
"""
# ruff: noqa: PTH109, PTH118, PTH120

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's, which would be imported
if TYPE_CHECKING:
    from collections.abc import Mapping


def put_script_last(environment: Mapping[str, str]) -> None:
    """Move the working directory, and the folders that these variables name, to the end of `sys.path`."""
    root = os.path.join(os.getcwd(), environment.get("AML_APP_ROOT", ""))
    source = os.path.join(root, environment.get("AZUREML_SOURCE_DIRECTORY", ""))
    script = os.path.join(root, os.path.dirname(environment.get("AZUREML_ENTRY_SCRIPT", "")))
    last = {os.path.realpath(folder) for folder in (os.getcwd(), root, source, script)}
    found = [(entry, os.path.realpath(entry)) for entry in sys.path]
    moved = dict.fromkeys(path for _, path in found if path in last)
    sys.path[:] = [*(entry for entry, path in found if path not in last), *moved]
