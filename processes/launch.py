"""Become a service's process: `python launch.py FILE PIDFILE`, which the supervisor runs for each of its programs.

FILE is JSON: `{"command": [...], "directory": "...", "variables": {...}}`. The variables and a mark are all of the
process's environment; in a file of its owner's they stay out of process listings and of the supervisor's
configuration. The process dies with its supervisor (`PR_SET_PDEATHSIG` of prctl(2)), whose process id is in PIDFILE: a
killed supervisor leaves nobody on the ports that the next one needs. Standard library only, and no module of the
project, so that it costs nothing at start.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main() -> None:
    launch = json.loads(Path(sys.argv[1]).read_text())
    supervisor = int(Path(sys.argv[2]).read_text())
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != supervisor:  # it died before the call above could tell
        sys.exit("the supervisor is gone")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file, and 1,024 are soon used up
    os.chdir(launch["directory"])
    # By this variable a process is known as a service's own: see `family.py`.
    variables = {**launch["variables"], "TRITON_SERVING_PROGRAM": Path(sys.argv[1]).stem}
    os.execve(launch["command"][0], launch["command"], variables)


if __name__ == "__main__":
    main()
