"""Where Python looks for modules: in the script's folders last.

A script may have a `types.py`, a `queue.py` or a folder `serving` beside it. The standard library and the server must
not get these when they import their own modules of the same name. So the script's folders go to the end of `sys.path`,
whether `-m` put them there (it puts the working directory first) or PYTHONPATH. This module runs before any other, and
imports nothing that Python has not imported when it starts: no pathlib.
"""
# ruff: noqa: PTH109, PTH118, PTH120

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # the import of typing's would look on the path
if TYPE_CHECKING:
    from collections.abc import Mapping


def put_script_last(environment: Mapping[str, str]) -> None:
    """Move the script's folders to the end of `sys.path`: the working directory, and those that variables name.

    Args:
        environment: the variables; AML_APP_ROOT, AZUREML_SOURCE_DIRECTORY and AZUREML_ENTRY_SCRIPT count.
    """
    root = os.path.join(os.getcwd(), environment.get("AML_APP_ROOT", ""))
    source = os.path.join(root, environment.get("AZUREML_SOURCE_DIRECTORY", ""))
    script = os.path.join(root, os.path.dirname(environment.get("AZUREML_ENTRY_SCRIPT", "")))
    last = {os.path.realpath(folder) for folder in (os.getcwd(), root, source, script)}
    found = [(entry, os.path.realpath(entry)) for entry in sys.path]
    moved = dict.fromkeys(path for _, path in found if path in last)
    sys.path[:] = [*(entry for entry, path in found if path not in last), *moved]
