"""Run uv with the user's package index, and turn its complaints into one readable line."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import uv

from common.redaction import redacted
from environment.pip_settings import uv_variables

__all__ = ["Progress", "UvError", "run_uv"]

Progress = Callable[[str], None]


class UvError(Exception):
    """uv failed. The text has uv's words in one line, without decoration and without credentials."""


def run_uv(
    arguments: Sequence[str],
    *,
    progress: Progress,
    variables: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> None:
    """Run `uv`.

    Args:
        arguments: Its arguments.
        progress: Called with each line that uv prints and that is worth showing.
        variables: More environment variables for uv.
        keep_open: File descriptors that uv inherits, such as a lock that must outlive a killed parent.

    Raises:
        UvError: uv failed.
    """
    environ = {
        **os.environ,
        **uv_variables(),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        **(variables or {}),
    }
    environ.pop("VIRTUAL_ENV", None)
    lines: list[str] = []
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [uv.find_uv_bin(), *arguments],
                cwd="/",  # uv takes settings from a pyproject.toml at or above its working directory
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=tuple(keep_open),
            )
        )
        stack.callback(process.kill)  # for an interrupted call; otherwise uv has ended by then
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.strip() and not line.startswith(("Using ", " + ", " - ")):
                progress(redacted(line.rstrip()))
        process.wait()
    if process.returncode:
        raise UvError(readable(lines) or f"uv exited with {process.returncode}")


_LABEL = re.compile(r" {0,2}(error|hint|cause): *")  # uv indents a build's output further


def readable(lines: Sequence[str]) -> str:
    """Join uv's error and the lines after it into one line: causes follow colons; a build's output keeps its last line.

    Args:
        lines: Everything that uv printed.
    """
    first = next((i for i, line in enumerate(lines) if line.startswith("error:")), 0)
    text = output = ""
    in_output = False
    for line in lines[first:]:
        label = _LABEL.match(line)
        words = " ".join(line[label.end() if label else 0 :].split())
        if label:
            separator = " Hint: " if label[1] == "hint" else ": "
            text += f": {output}" if output else ""
            text += f"{separator}{words}" if text else words
            output, in_output = "", False
        elif words in ("[stdout]", "[stderr]"):
            in_output = True
        elif words and in_output:
            output = words
        elif words:
            text += f" {words}"
    return redacted(f"{text}: {output}" if output else text)
