"""What a machine must be to run Triton from its wheel, told before anything is built."""

import ctypes
import os
import platform
import sys

from environment.curated import Wheel
from environment.interpreter import Interpreter, inspect

__all__ = ["why_not"]

# Shared libraries that the wheel's server takes from the machine; every desktop and server distribution has them.
_LIBRARIES = ("libstdc++.so.6", "libz.so.1")


def why_not(wheel: Wheel, interpreter: Interpreter | None = None) -> tuple[str, ...]:
    """List why Triton's wheel cannot run on this machine with this interpreter, and what would help."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return (
            f"Triton's wheel runs on Linux on x86_64, not on {platform.system()} on {platform.machine()}; "
            "use the target docker or node-pool",
        )
    interpreter = interpreter or inspect()
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
    elif interpreter.library is None:
        name = f"libpython{interpreter.minor_version}"
        reasons.append(
            f"Triton's Python backend needs {name}.so.1.0, which Python {interpreter.version} "
            f"({interpreter.executable}) comes without; install it "
            f"(Debian, Ubuntu: {name}; Fedora: python3-libs; pyenv: build with --enable-shared)"
        )
    return tuple(reasons)


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
