"""Python interpreters of this machine, with the shared library that Triton's Python backend embeds."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import uv

__all__ = ["Interpreter", "inspect", "installed"]

# Runs in the inspected interpreter. It looks for the shared library where Python says that it was installed, then where
# the dynamic loader finds it: distributions keep it in a package and a folder of its own.
_FACTS = """
import ctypes, json, os, re, sys, sysconfig
version = "%d.%d" % sys.version_info[:2]
soname = "libpython%s.so.1.0" % version
of = sysconfig.get_config_var
folders = [of("LIBDIR"), os.path.join(of("LIBDIR") or "", of("MULTIARCH") or ""), os.path.join(sys.base_prefix, "lib")]
library = next((os.path.join(f, soname) for f in folders if f and os.path.exists(os.path.join(f, soname))), None)
if library is None:
    try:
        ctypes.CDLL(soname)
        with open("/proc/self/maps") as maps:
            library = next(iter(re.findall(r"/\\S*/" + re.escape(soname), maps.read())), None)
    except OSError:
        pass
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "prefix": sys.base_prefix,
    "platform": sysconfig.get_platform(),
    "library": library,
    "headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python interpreter of this machine.

    Attributes:
        executable: The program.
        version: Its version, such as `3.11.7`.
        implementation: `cpython`, or another.
        prefix: The folder of its installation.
        platform: The platform that its packages are for.
        library: Its shared library; None where it has none.
        headers: Whether it has the headers that extensions are compiled with.
    """

    executable: Path
    version: str
    implementation: str
    prefix: Path
    platform: str
    library: Path | None
    headers: bool = True

    @property
    def minor_version(self) -> str:
        """Return the version as Triton's wheel names it, such as `3.11`."""
        return ".".join(self.version.split(".")[:2])


@cache
def inspect(executable: Path | None = None) -> Interpreter:
    """Ask an interpreter about itself; by default the interpreter of this program."""
    executable = executable or Path(sys.executable)
    answer = subprocess.run(
        [str(executable), "-I", "-c", _FACTS], capture_output=True, text=True, check=True, timeout=30
    )
    facts = json.loads(answer.stdout)
    return Interpreter(
        executable=executable,
        version=facts["version"],
        implementation=facts["implementation"],
        prefix=Path(facts["prefix"]),
        platform=facts["platform"],
        library=Path(facts["library"]) if facts["library"] else None,
        headers=facts["headers"],
    )


@cache
def installed() -> tuple[Interpreter, ...]:
    """Inspect every CPython that uv finds: those on PATH and those that uv installed."""
    listed = subprocess.run(
        [uv.find_uv_bin(), "python", "list", "--only-installed", "--no-config", "--output-format", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = [entry["path"] for entry in json.loads(listed.stdout) if entry["implementation"] == "cpython"]
    return tuple(inspect(Path(path)) for path in dict.fromkeys(found))
