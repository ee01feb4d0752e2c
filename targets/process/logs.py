"""A service's logs: the end of each, or all of them as they grow."""

import subprocess
import sys
from pathlib import Path

from targets.contract import Stack
from targets.errors import ServiceError
from targets.process.service_folder import Record, ServiceDirectory

__all__ = ["show"]

LINES = 50


def show(stack: Stack, *, follow: bool) -> int:
    """Show the logs of what runs, each under its name; gives an exit code. Raises `ServiceError` where nothing does."""
    directory = ServiceDirectory.of(stack.state_directory, stack.settings.service_name)
    record = directory.record()
    if record is None:
        raise ServiceError(f"service '{stack.settings.service_name}' is not deployed on this machine; make up does it")
    files = [str(file) for file in _files(directory, record) if file.is_file()]
    # coreutils' tail follows a log over its rotations.
    options = ["--follow=name", "--retry"] if follow else []
    sys.stdout.flush()
    return subprocess.run(["tail", f"--lines={LINES}", "--verbose", *options, *files], check=False).returncode


def _files(directory: ServiceDirectory, record: Record) -> list[Path]:
    programs = record.current.programs if record.current else []
    return [directory.logs / f"{name}.log" for name in (*programs, "envoy", "supervisord")]
