"""The machine that a report was made on, in the words that a reader needs to compare it with another."""

import os
import platform
from pathlib import Path

__all__ = ["busy", "describe", "load"]


def describe() -> str:
    """Processor, cores, memory, system and Python, as one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = _field("/etc/os-release", "PRETTY_NAME", "=") or platform.system()
    processor = _field("/proc/cpuinfo", "model name", ":") or platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {system}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}."
    )


def load() -> float:
    """The load average of the last minute: what else the machine does, if asked before a run."""
    return os.getloadavg()[0]


def busy(load: float) -> str:
    """What readers must know of a run on a machine with other work to do; empty for a quiet one."""
    if load < 1:
        return ""
    return f"Other work ran on the machine (load average {load:.1f} before the run): processor time and ratios count.\n"


def _field(file: str, name: str, separator: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip().strip('"')
    return ""
