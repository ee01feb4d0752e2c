"""The folder of a service of this machine, be it processes or containers: its lock, its names and its record."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel

from common.atomic_files import write_whole
from targets.errors import ServiceError

__all__ = ["METRICS_PORT", "PORT", "DoorRecord", "ServiceFolder", "renaming"]

LOCK_SECONDS = 5
PORT = "deployment.port"
METRICS_PORT = "deployment.metricsPort"
_Folder = TypeVar("_Folder", bound="ServiceFolder")


class DoorRecord(BaseModel):
    """What every service's record holds: its names, and its front door's keys, port and metrics' port.

    `door_owner` is the stack whose keys open it. A service has two names while it is being renamed, and else one; where
    none is written down, it is that of its folder.
    """

    names: list[str] = []
    door_owner: str = ""
    port: int | None = None
    stats_port: int | None = None

    @property
    def ports(self) -> dict[str, int | None]:
        """The front door's ports, each by the setting that chooses it."""
        return {PORT: self.port, METRICS_PORT: self.stats_port}

    def has_port(self, owner: str, port: int, setting: str = PORT) -> bool:
        """Whether a stack's front door has the port, or waits for it: that it is closed is a refresh's to say."""
        return (self.door_owner, self.ports[setting]) == (owner, port)


@dataclass(frozen=True)
class ServiceFolder:
    """The folder `root` in which a service keeps its files; its lock lies beside it.

    A folder keeps its path while its service is renamed, because what runs has files open in it: the record tells the
    service's name, and `service` the one by which a new one was looked for.
    """

    root: Path
    service: str = ""
    RECORD: ClassVar[str]
    PARENT: ClassVar[str]

    @classmethod
    def all_in(cls: type[_Folder], state_directory: Path) -> list[_Folder]:
        """List the folders of a state directory in which a service lives: those with a record."""
        return [cls(record.parent) for record in sorted(state_directory.glob(f"{cls.PARENT}/*/{cls.RECORD}"))]

    @classmethod
    def find(cls, parent: Path, name: str) -> Path:
        """Find the folder of the service of that name within `parent`, or where a new one of that name would live."""
        own = parent / name
        for root in [own, *sorted(path.parent for path in parent.glob(f"*/{cls.RECORD}"))]:
            if name in cls._names(root):
                return root
        number = 2
        while cls._names(own):  # a renamed service lives there
            own = parent / f"{name}-{number}"
            number += 1
        return own

    @classmethod
    def _names(cls, root: Path) -> list[str]:
        file = root / cls.RECORD
        return (_content(file).get("names") or [root.name]) if file.is_file() else []

    @property
    def name(self) -> str:
        """The service's name; while it is being renamed, the new one."""
        return (self._names(self.root) or [self.service or self.root.name])[-1]

    @property
    def is_there(self) -> bool:
        """Whether a service lives in the folder."""
        return (self.root / self.RECORD).is_file()

    def rename(self, *names: str) -> None:
        """Give a service that is there other names; nothing happens where there is none."""
        file = self.root / self.RECORD
        if self.is_there:
            write_whole(file, json.dumps({**_content(file), "names": list(names)}, indent=2), mode=0o600)

    @property
    def envoy(self) -> Path:
        """The front door's configuration."""
        return self.root / "envoy"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
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
                f"service '{self.name}' is being changed by another process; wait for it to end"
            ) from None

    def is_changing(self) -> bool:
        """Tell whether a change of the service is under way: somebody has the lock of `locked`."""
        if not self._lock_file.exists():
            return False
        try:
            with FileLock(self._lock_file).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def remove(self) -> None:
        """Remove the folder with everything in it, and the one that it lies in if nothing else is there."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._lock_file.unlink(missing_ok=True)
        if self.root.parent.is_dir() and not any(self.root.parent.iterdir()):
            self.root.parent.rmdir()

    @property
    def _lock_file(self) -> Path:
        return self.root.parent / f".{self.root.name}.lock"


@contextmanager
def renaming(folder: ServiceFolder, wanted: ServiceFolder, former: str, name: str) -> Iterator[None]:
    """Let a service have both names while it is rolled out under the new one, and then the one that it has come to.

    Whoever is told to remove it after a killed rollout finds it under either name. `wanted` is the folder of the new
    name; raises `ServiceError` where another service lives there.
    """
    taken = wanted.root != folder.root and wanted.is_there
    if taken and folder.is_there:
        raise ServiceError(
            f"serviceName '{former}' cannot become '{name}' while another service has that name; destroy that one "
            "first, or choose another serviceName"
        )
    folder.rename(former, name)
    try:
        yield
    except BaseException:
        folder.rename(former)
        raise
    folder.rename(name)


def _content(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_bytes())
    return content
