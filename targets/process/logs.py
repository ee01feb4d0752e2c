"""A service's logs: the end of each, or all of them as they grow."""

from pathlib import Path

from targets.contract import Stack
from targets.errors import ServiceError
from targets.log_lines import print_output
from targets.process.service_folder import Record, ServiceDirectory

__all__ = ["show"]


def show(stack: Stack, *, follow: bool, as_json: bool, lines: int) -> int:
    """Show the logs of what runs, each under its name; gives an exit code. Raises `ServiceError` where nothing does."""
    directory = ServiceDirectory.of(stack.state_directory, stack.settings.service_name)
    record = directory.record()
    if record is None:
        raise ServiceError(f"service '{stack.settings.service_name}' is not deployed on this machine; make up does it")
    logs = [directory.access_log] if as_json else _files(directory, record)
    files = [str(file) for file in logs if file.is_file()]
    if not files:
        return 0
    # coreutils' tail follows a log over its rotations.
    options = ["--follow=name", "--retry"] if follow else []
    verbosity = "--quiet" if as_json else "--verbose"
    return print_output(["tail", f"--lines={lines}", verbosity, *options, *files], as_json=as_json)


def _files(directory: ServiceDirectory, record: Record) -> list[Path]:
    programs = record.current.programs if record.current else []
    return [
        *(directory.logs / f"{name}.log" for name in programs),
        directory.envoy_log,
        directory.access_log,
        directory.logs / "supervisord.log",
    ]
