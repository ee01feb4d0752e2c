"""The reports of a service's rollouts: the newest in a browser, a list of them, or summaries for a job of a CI."""

import os
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from targets.errors import ServiceError
from targets.report import writing
from targets.rollout_record import RolloutRecord, records

__all__ = ["show", "show_list", "show_summaries"]


def show(folder: Path, service: str, console: Console) -> int:
    """Print where the newest report is, and open it where there is a display; gives an exit code.

    Raises:
        ServiceError: There is none.
    """
    page = _written(_records(folder, service)[-1], ".html")
    console.print(str(page), markup=False, soft_wrap=True)
    if (opener := _opener()) is not None:
        subprocess.Popen(
            [opener, str(page)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return 0


def show_list(folder: Path, service: str, console: Console) -> int:
    """Print a table of the reports, the newest first; gives an exit code.

    Raises:
        ServiceError: There is none.
    """
    table = Table("when (UTC)", "generation", "outcome", "steps", "report", box=box.SIMPLE_HEAD)
    for file in reversed(_records(folder, service)):
        try:
            record = _read(file)
        except ServiceError:
            table.add_row("", "", "cannot be read", "", escape(str(file)))
            continue
        page = file.with_suffix(".html")
        passed = sum(step.outcome == "passed" for step in record.steps)
        steps = f"{passed} of {max(record.planned, len(record.steps))} passed"
        table.add_row(
            f"{record.started:%Y-%m-%d %H:%M:%S}",
            f"{record.before if record.before is not None else '-'} to {record.generation}",
            record.outcome.value,
            steps if record.steps else "-",
            escape(str(page if page.is_file() else file)),
        )
    console.print(table, soft_wrap=True)
    return 0


def show_summaries(folder: Path, since: int) -> int:
    """Print the summaries of the rollouts that began at a time (seconds since 1970) or later; gives an exit code."""
    begin = datetime.fromtimestamp(since, timezone.utc)
    for file in records(folder):
        if _read(file).started >= begin:
            sys.stdout.write(_written(file, ".md").read_text(encoding="utf-8"))
    return 0


def _records(folder: Path, service: str) -> list[Path]:
    found = records(folder)
    if not found:
        raise ServiceError(f"service '{service}' has no report yet: the next rollout writes one into {folder}")
    return found


def _read(file: Path) -> RolloutRecord:
    try:
        return RolloutRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ServiceError(
            f"{file}: expected the record of a rollout as this version writes it; remove the file"
        ) from error


def _written(file: Path, ending: str) -> Path:
    """Give a document of a record; one that the rollout could not write is written now."""
    document = file.with_suffix(ending)
    if not document.is_file():
        told: list[str] = []
        writing.write(_read(file), file, told.append)
        if not document.is_file():
            raise ServiceError(told[0])
    return document


def _opener() -> str | None:
    """Name the command with which this platform opens a file for its user; None where there is no display."""
    if sys.platform == "darwin":
        return shutil.which("open")
    return shutil.which("xdg-open") if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else None
