"""Print a service's logs: lines of the access log readable for people, or these alone as the JSON that they are."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from gateway.access_line import is_access_line, readable

__all__ = ["print_line", "print_output"]


def print_line(line: str, *, as_json: bool, before: str = "") -> None:
    """Print a line of a log.

    Args:
        line: The line.
        as_json: Whether to print lines of the access log alone, without what `kubectl` puts before them.
        before: What people see before the line.

    Raises:
        BrokenPipeError: Nobody reads any longer.
    """
    if not as_json:
        _write(before + readable(line))
    elif is_access_line(line):
        _write(line[line.index("{") :])


def print_output(
    command: list[str],
    *,
    as_json: bool,
    variables: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> int:
    """Print what a command writes to its standard output, by `print_line`, until it ends or nobody reads any longer.

    Args:
        command: The command.
        as_json: As for `print_line`.
        variables: Its environment; by default this process's.
        descriptors: The open files that it gets.

    Returns:
        Its exit code; 0 where nobody reads.

    Raises:
        FileNotFoundError: There is no such program.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=variables,
        pass_fds=descriptors,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print_line(line.rstrip("\n"), as_json=as_json)
        return process.wait()
    except BrokenPipeError:
        return 0
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            process.wait()


def _write(line: str) -> None:
    """Write past `sys.stdout`, which takes on silently where a reader has gone: `FOLLOW=1 | head` has to end."""
    sys.stdout.flush()
    rest = f"{line}\n".encode(errors="replace")
    while rest:
        rest = rest[os.write(1, rest) :]
