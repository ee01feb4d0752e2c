"""The command lines that start the server, its probe and the keeper, in whatever folder: behind the interpreter's path.

`python -m serving` looks for every module in the working directory first, which is the script's folder: a `types.py`
there would take the place of the standard library's. (`-P` keeps Python from that, but not before 3.11.)
"""

from __future__ import annotations

# Whatever names the working directory goes to the end; `paths` sees to the rest.
_START = (
    "import os, sys; sys.path.sort(key=lambda entry: os.path.realpath(entry) == os.getcwd()); "
    "from serving.__main__ import start; start()"
)
SERVER = ("-c", _START)
# The probe reads no variable of Python's.
PROBE = ("-I", "-m", "serving.probing.probe")
KEEPER = ("-I", "-m", "serving.keeping.keeper")
# Triton loads every model at the start, and loads one again whose process died: `serving.keeping.keeper` asks for that.
RELOADABLE = ("--model-control-mode=explicit", "--load-model=*")
