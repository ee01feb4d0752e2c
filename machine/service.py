"""A service of this machine, be it processes or containers: its folder, how it was found, and what went wrong."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel

from common.redaction import redacted

__all__ = ["DoorRecord", "Measured", "ServiceError", "ServiceFolder", "overall"]

LOCK_SECONDS = 5


class ServiceError(Exception):
    """A service that could not be changed, measured or removed; its text is meant for people.

    Logs are quoted in it: credentials in their URLs are not.
    """

    def __init__(self, text: str) -> None:
        super().__init__(redacted(text))


@dataclass(frozen=True)
class Measured:
    """A service's state as it was found: `Healthy`, `Unhealthy` or `Stopped`, and what is wrong with it."""

    state: str
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, problems: Iterable[str]) -> "Measured":
        """What runs, with what is wrong with it."""
        found = tuple(problems)
        return cls("Unhealthy" if found else "Healthy", found)


def overall(serving: str, front_door: str) -> str:
    """The state of a service, of the states of what serves and of the front door: clients need both."""
    if serving == "Healthy" and front_door != "Healthy":
        return "Unhealthy"
    return serving


class DoorRecord(BaseModel):
    """What a service's record holds of its front door: whose keys open it, its port and that of the metrics."""

    door_owner: str = ""
    port: int | None = None
    stats_port: int | None = None

    def has_port(self, owner: str, port: int) -> bool:
        """Whether a stack's front door has the port, or waits for it: that it is closed is a refresh's to say."""
        return (self.door_owner, self.port) == (owner, port)


@dataclass(frozen=True)
class ServiceFolder:
    """The folder `root` in which a service keeps its files; its lock lies beside it."""

    root: Path

    @property
    def envoy(self) -> Path:
        """The front door's configuration."""
        return self.root / "envoy"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep two changes of one service apart; raises `ServiceError` when another one is under way."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._lock_file).acquire(timeout=LOCK_SECONDS):
                yield
        except Timeout:
            raise ServiceError(
                f"service '{self.root.name}' is being changed by another process; wait for it to end"
            ) from None

    def remove(self) -> None:
        """Remove the folder with everything in it, and the one that it lies in if nothing else is there."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._lock_file.unlink(missing_ok=True)
        if self.root.parent.is_dir() and not any(self.root.parent.iterdir()):
            self.root.parent.rmdir()

    @property
    def _lock_file(self) -> Path:
        return self.root.parent / f".{self.root.name}.lock"
