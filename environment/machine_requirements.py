"""The requirements of Triton's wheel on a machine, checked before anything is built."""

import ctypes
import os
import platform
import shutil
import sys

from environment.curated_environments import Wheel
from environment.interpreter import Interpreter, inspect, installed

__all__ = ["interpreter_for", "why_not"]

# The wheel's server takes these shared libraries from the machine; every desktop and server distribution has them.
_LIBRARIES = ("libstdc++.so.6", "libz.so.1")


def interpreter_for(wheel: Wheel, *, triton: bool = True) -> Interpreter:
    """Choose the interpreter for an environment: this program's where it fits, else another one of this machine.

    An interpreter on which packages must be compiled does not count as fitting. Where none fits, this program's is
    returned, and `why_not` tells what it lacks.

    Args:
        wheel: Triton's wheel.
        triton: Whether the environment gets Triton too.
    """
    running = inspect()
    quick = [version for version in wheel.pythons if version not in wheel.compiles_on]

    def fits(interpreter: Interpreter) -> bool:
        return interpreter.minor_version in quick and not (triton and why_not(wheel, interpreter))

    return running if fits(running) else next(filter(fits, installed()), running)


def why_not(wheel: Wheel, interpreter: Interpreter | None = None) -> tuple[str, ...]:
    """List why Triton's wheel cannot run on this machine, and what would help; empty where it can.

    Args:
        wheel: Triton's wheel.
        interpreter: The interpreter to run on; by default the choice of `interpreter_for`.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return (
            f"Triton's wheel runs on Linux on x86_64, not on {platform.system()} on {platform.machine()}; "
            "use the target docker or node-pool",
        )
    interpreter = interpreter or interpreter_for(wheel)
    reasons = []
    glibc = _glibc()
    if glibc is None or _numbers(glibc) < _numbers(wheel.glibc):
        found = f"this machine has {glibc}" if glibc else "this machine has another C library"
        reasons.append(
            f"Triton's wheel needs glibc {wheel.glibc} or newer (Debian 12, Ubuntu 22.04, RHEL 10 have it); {found}"
        )
    reasons += [
        f"Triton needs {name}, which this machine lacks; install it (Debian, Ubuntu: {package})"
        for name, package in zip(_LIBRARIES, ("libstdc++6", "zlib1g"), strict=True)
        if not _loads(name)
    ]
    if interpreter.implementation != "cpython" or interpreter.minor_version not in wheel.pythons:
        first, last = wheel.pythons[0], wheel.pythons[-1]
        reasons.append(
            f"Triton's Python backend runs on CPython {first} to {last}, "
            f"not on {interpreter.implementation} {interpreter.version} ({interpreter.executable})"
        )
    elif interpreter.library is None and interpreter.minor_version not in wheel.carries_library_of:
        name = f"libpython{interpreter.minor_version}"
        reasons.append(
            f"Triton's Python backend needs {name}.so.1.0, which Python {interpreter.version} "
            f"({interpreter.executable}) comes without; install it "
            f"(Debian, Ubuntu: {name}; Fedora: python3-libs; pyenv: build with --enable-shared)"
        )
    elif interpreter.minor_version in wheel.compiles_on and not (_compiler() and interpreter.headers):
        version = interpreter.minor_version
        reasons.append(
            f"on Python {version} ({interpreter.executable}) the NumPy that Triton's Python backend needs has to be "
            f"compiled, and this machine lacks {'the headers of Python' if _compiler() else 'a C++ compiler'}; install "
            f"an older Python beside it (.venv/bin/uv python install 3.12), or (Debian, Ubuntu) build-essential and "
            f"python{version}-dev"
        )
    return tuple(reasons)


def _compiler() -> bool:
    return bool(shutil.which("cc") and shutil.which("c++"))


def _glibc() -> str | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except ValueError:  # another C library does not know the question
        return None
    return version if name == "glibc" else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
