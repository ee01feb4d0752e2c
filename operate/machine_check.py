"""The machine check: refuses, in words, what this project cannot run on. Runs on any Python 3, without packages."""

import os
import platform
import sys

OLDEST_GLIBC = (2, 35)
PYTHONS = ((3, 10), (3, 13))


def refusals():
    """List what this machine lacks, a line each."""
    # No type hints and no f-strings here: an old Python must get as far as its refusal.
    found = []
    version = sys.version_info[:2]
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        found.append(
            "Python %d.%d runs this; needed is 3.10 to 3.13. Install one and say: make PYTHON3=python3.12 ..." % version
        )
    if ":" in os.getcwd():
        found.append(
            "the path of this folder, %s, has a colon, which parts the folders of PATH: Python makes no environment "
            "there; clone into a path without one." % os.getcwd()
        )
    if any(character.isspace() for character in os.getcwd()):
        found.append(
            "the path of this folder, %s, has a space, and Triton's Python backend does not start from such a path; "
            "clone into a path without one." % os.getcwd()
        )
    if platform.system() != "Linux":
        found.append(
            "this is %s; Triton's server runs on Linux. On macOS or Windows use a Linux machine, WSL 2 or a container."
            % platform.system()
        )
    elif platform.machine() != "x86_64":
        found.append("this machine is %s; the packaged Triton server is built for x86_64." % platform.machine())
    else:
        try:
            libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
        except (ValueError, OSError):
            libc = ""
        name, _, number = libc.partition(" ")
        if name != "glibc":
            found.append("this Linux has no GNU libc (musl, as in Alpine?); needed is glibc 2.35 or newer.")
        elif tuple(int(part) for part in number.split(".")[:2]) < OLDEST_GLIBC:
            found.append(
                "this machine has glibc %s; needed is 2.35 or newer (Ubuntu 22.04, Debian 12, RHEL 10)." % number
            )
    return found


if __name__ == "__main__":
    problems = refusals()
    for problem in problems:
        sys.stderr.write("cannot set up here: %s\n" % problem)
    sys.exit(1 if problems else 0)
