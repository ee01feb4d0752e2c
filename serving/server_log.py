"""The server's log: lines in the form of Azure's server on stdout, or in the form that a `logging.json` asks for."""

from __future__ import annotations

import builtins
import copy
import functools
import io
import json
import logging
import logging.config
import os
import sys
import time
from pathlib import Path
from typing import Any

from serving.script import entry_script
from serving.settings import Settings

FORMAT = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
_print = builtins.print


class AMLLogFormatter(logging.Formatter):
    """Formats a line: time in UTC, the level's first letter, process, logger, message."""

    converter = time.gmtime  # type: ignore[assignment]

    def __init__(self, fmt: str = FORMAT, datefmt: str | None = None, style: Any = "%") -> None:
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)
        self._second = 0
        self._text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Format the time of a line. There is a line for each request, so seconds are formatted once."""
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, time.strftime(self.default_time_format, time.gmtime(second))
        return f"{self._text},{int(record.msecs):03}"


class RootAccessFilter(logging.Filter):
    """Leaves out the access lines of health probes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line stays in the log."""
        return "GET / HTTP/1.1" not in record.getMessage()


class AccessLog:
    """Writes the line of each answered request.

    Each line is a copy of one record, which this process makes once: making a record takes longer than writing it.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._record = logger.makeRecord(logger.name, logging.INFO, "", 0, "%s %s %s %.3fms %s", (), None)
        self._loaded = self._record.created - self._record.relativeCreated / 1000

    def write(self, method: str, target: str, status: int, seconds: float, length: int | str) -> None:
        """Write one line, where the level of the log allows it.

        Args:
            method: the request's method.
            target: its path and query.
            status: the answer's status.
            seconds: the time since the request arrived.
            length: the bytes of the answer's body, or `N/A` for an answer in parts.
        """
        if not self._logger.isEnabledFor(logging.INFO):
            return
        record = copy.copy(self._record)
        record.args = (method, target, status, seconds * 1000, length)
        record.created = time.time()
        record.msecs = record.created % 1 * 1000 // 1
        record.relativeCreated = (record.created - self._loaded) * 1000
        self._logger.handle(record)


def configure(settings: Settings) -> None:
    """Load the `logging.json` of AML_APP_ROOT or of the script's folder, or the server's own configuration.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is no configuration of Python's logging.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A client's JSON may hold half a character: its line is written with an escape, as stderr does it.
        sys.stdout.reconfigure(errors="backslashreplace")
    for folder in (settings.app_root, entry_script.locate(settings).parent):
        path = folder / "logging.json"
        if path.is_file():
            logging.config.dictConfig(json.loads(path.read_text(encoding="utf-8")))
            logging.getLogger("azmlinfsrv").info("Loaded logging config from %s", path)
            return
    logging.config.dictConfig(_default(settings.log_level))


def redirect_print() -> None:
    """Turn each `print` of a script into a line of the log, unless it goes to another file than stdout."""
    logger = logging.getLogger("azmlinfsrv.print")

    @functools.wraps(_print)
    def print_to_log(
        *objects: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
    ) -> None:
        if file is None or file is sys.stdout:
            logger.info("%s", (" " if sep is None else sep).join(map(str, objects)))
        else:
            _print(*objects, sep=sep, end=end, file=file, flush=flush)

    builtins.print = print_to_log


def _default(level: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"azmlinfsrv": {"()": "serving.server_log.AMLLogFormatter"}},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "azmlinfsrv"},
            "stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "azmlinfsrv"},
        },
        "loggers": {
            "azmlinfsrv": {"level": level, "handlers": ["stdout"], "propagate": False},
            "gunicorn.error": {"level": level, "handlers": ["stderr"], "propagate": False},
        },
    }


def walk(folder: Path, limit: int = 200) -> list[str]:
    """List the files below a folder, at most `limit`: they help where init() did not find its model."""
    lines: list[str] = []
    for path, folders, files in os.walk(folder):  # leaves out folders that it cannot read, or that have just gone
        folders.sort()
        relative = Path(path).relative_to(folder)
        lines += sorted([f"{relative / name}/" for name in folders] + [str(relative / name) for name in files])
        if len(lines) > limit:
            return [*lines[:limit], f"… the first {limit} entries"]
    return lines
