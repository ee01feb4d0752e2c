"""What status, logs and check do on target `process`."""

from rich.console import Console

from settings import Settings
from targets.process import check, logs, status

__all__ = ["run"]


def run(verb: str, console: Console, settings: Settings, *, follow: bool) -> int:
    """Run a verb; gives an exit code."""
    if verb == "status":
        return status.show(console, settings)
    if verb == "logs":
        return logs.show(settings, follow=follow)
    return check.run(console, settings)
