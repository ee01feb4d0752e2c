"""Data collection, the names of its files, which tell who wrote them and when.

date=<day>/<service>-<host>-<time>-<number>.<suffix>
"""

from __future__ import annotations

import socket
from datetime import datetime, timezone

_DAY = "date="


def file_name(service: str, number: int, suffix: str) -> str:
    """Name a file that is written now, the `number`th of this process."""
    written = datetime.now(timezone.utc).strftime("%H%M%S%f")
    return f"{plain(service)}-{socket.gethostname()}-{written}-{number}.{suffix}"


def plain(service: str) -> str:
    """Write a service's name as a part of a path."""
    return "".join(letter if letter.isalnum() else "-" for letter in service)


def requests_folder(service: str) -> str:
    """Name the folder of what the recorder writes of a service, below COLLECT_URL."""
    return f"requests/{plain(service)}"


def day_folder(day: str) -> str:
    """Name the folder of a day, as in `2026-11-21`."""
    return f"{_DAY}{day}"


def is_day_folder(path: str) -> bool:
    """Tell whether a path is that of a day's folder."""
    return last(path).startswith(_DAY)


def written_at(path: str) -> tuple[str, int]:
    """Give the time of day and the number of a file; files of another name are the oldest."""
    parts = last(path).rpartition(".")[0].rsplit("-", 2)
    return (parts[1], int(parts[2])) if len(parts) == 3 and parts[2].isdigit() else ("", 0)


def last(path: str) -> str:
    """Give the last part of a path."""
    return path.rstrip("/").rpartition("/")[2]
