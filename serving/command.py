"""The arguments of Python that start the server, its probe and the keeper, in any folder.

`python -m serving` looks for every module in the working directory first. That is the script's folder: a `types.py`
there would take the place of the standard library's. (`-P` keeps Python from that, but only from 3.11 on.)
"""

from __future__ import annotations

# The working directory goes to the end of the path; `search_path` does the same with the script's other folders.
_START = (
    "import os, sys; sys.path.sort(key=lambda entry: os.path.realpath(entry) == os.getcwd()); "
    "from serving.__main__ import start; start()"
)
SERVER = ("-c", _START)
# These read no variable of Python's.
PROBE = ("-I", "-m", "serving.probing.probe")
KEEPER = ("-I", "-m", "serving.keeping.keeper")
RECORDER = ("-I", "-m", "serving.recording")
# Triton loads every model at the start, and again when `serving.keeping.keeper` asks for it, because its process died.
RELOADABLE = ("--model-control-mode=explicit", "--load-model=*")
