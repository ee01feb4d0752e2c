"""What status, logs and check do on target `process`."""

from pathlib import Path

from rich.console import Console

from operate import check, logs, status
from settings import Settings

__all__ = ["run"]


def run(verb: str, console: Console, settings: Settings, project: Path, *, follow: bool) -> int:
    """Run a verb; gives an exit code."""
    if verb == "status":
        return status.show(console, settings, project)
    if verb == "logs":
        return logs.show(settings, project, follow=follow)
    return check.run(console, settings, project)
