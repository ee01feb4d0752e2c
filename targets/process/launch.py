"""Keep a service's process: `python launch.py FILE PIDFILE`, which the supervisor runs for each of its programs.

FILE is JSON: `{"command": [...], "directory": "...", "variables": {...}, "memoryMb": ..., "triton": ...}`. The
variables and a mark are the process's whole environment; in a file of its owner's they stay out of process listings
and of the supervisor's configuration. `memoryMb` and `triton` are for `serving.keeping.keeper`, which starts the
process and ends with it. They die with their supervisor (`PR_SET_PDEATHSIG` of prctl(2)), whose process id is in
PIDFILE: a killed one leaves nobody on the ports that the next one needs. FILE may hold more, for whoever starts this.
Standard library only, so that it costs little at start.
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
    """Start the process that FILE describes and keep it; ends with its exit status."""
    launch = json.loads(Path(sys.argv[1]).read_text())
    supervisor = int(Path(sys.argv[2]).read_text())
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != supervisor:  # it died before the call above could tell
        sys.exit("the supervisor is gone")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file, and 1,024 are soon used up
    # By this variable a process is known as a service's own: see `family.py`.
    variables = {**launch["variables"], "TRITON_SERVING_PROGRAM": Path(sys.argv[1]).stem}
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from serving.keeping.keeper import keep

    status = keep(
        launch["command"],
        memory_mb=launch.get("memoryMb"),
        triton=launch.get("triton"),
        directory=Path(launch["directory"]),
        variables=variables,
    )
    sys.exit(status)


if __name__ == "__main__":
    main()
