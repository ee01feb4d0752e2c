"""The folder in which a service of the `process` target lives, and the record of what runs there.

<stateDirectory>/services/<serviceName>/
    service.json            owner, current generation, the next one's number
    supervisord.conf        and programs/*.conf: what the supervisor keeps running
    supervisor.sock         its control socket, owner only
    generations/<number>/   the files of one generation: launch files, script, probe, model links
    envoy/                  the front door's configuration
    logs/                   a log per process and generation, rotated
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel

from environment.files import write_atomically

__all__ = ["Generation", "Record", "ServiceDirectory", "ServiceError"]

LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its terminating NUL


class ServiceError(Exception):
    """A service that could not be changed, measured or removed; its text is meant for people."""


class Generation(BaseModel):
    """One rollout's processes: the digest of their spec and the loopback ports they listen on."""

    number: int
    digest: str
    triton_http: int | None = None
    triton_grpc: int | None = None
    triton_metrics: int | None = None
    scorer: int | None = None

    @property
    def ports(self) -> set[int]:
        """The ports that this generation's processes listen on."""
        return {p for p in (self.triton_http, self.triton_grpc, self.triton_metrics, self.scorer) if p is not None}

    @property
    def programs(self) -> list[str]:
        """The supervisor's names of this generation's processes, in the order in which they start."""
        names = ["triton"] * (self.triton_http is not None) + ["scorer"] * (self.scorer is not None)
        return [f"{name}-{self.number}" for name in names]


class Record(BaseModel):
    """What `service.json` holds: `current` has the traffic, which comes in at `port`; `stats_port` shows metrics."""

    owner: str
    current: Generation | None = None
    next_number: int = 1
    port: int | None = None
    stats_port: int | None = None


@dataclass(frozen=True)
class ServiceDirectory:
    """A service's folder; `root` is made when the service is claimed."""

    root: Path

    @classmethod
    def of(cls, state_directory: Path, service_name: str) -> "ServiceDirectory":
        directory = cls(state_directory.resolve() / "services" / service_name)
        longest = len(str(directory.socket))
        if longest > LONGEST_SOCKET_PATH:
            raise ServiceError(
                f"stateDirectory: {directory.socket} has {longest} characters, and a Unix socket's path may have "
                f"{LONGEST_SOCKET_PATH}; set stateDirectory to a shorter path"
            )
        return directory

    @property
    def socket(self) -> Path:
        return self.root / "supervisor.sock"

    @property
    def record_file(self) -> Path:
        return self.root / "service.json"

    @property
    def envoy(self) -> Path:
        return self.root / "envoy"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    def generation(self, number: int) -> Path:
        return self.root / "generations" / str(number)

    def generation_numbers(self) -> list[int]:
        """List the generations whose files are here, the oldest first."""
        return sorted(int(folder.name) for folder in self.root.glob("generations/*") if folder.name.isdigit())

    def remove_generation(self, number: int) -> None:
        shutil.rmtree(self.generation(number), ignore_errors=True)

    def record(self) -> Record | None:
        """Read what runs here; none where no service lives."""
        if not self.record_file.is_file():
            return None
        return Record.model_validate_json(self.record_file.read_bytes())

    def write_record(self, record: Record) -> None:
        write_atomically(self.record_file, record.model_dump_json(indent=2))

    def claim(self, owner: str, *, overwrite: bool) -> Record:
        """Take this service's name for a stack, or raise `ServiceError` where another one owns it.

        With `overwrite` the other stack's service becomes this stack's: the next rollout replaces it.
        """
        record = self.record()
        if record is None:
            record = Record(owner=owner)
        elif record.owner != owner:
            check_owner(self, owner, overwrite=overwrite)
            record = record.model_copy(update={"owner": owner})
        for folder in (self.root, self.programs, self.logs, self.envoy):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.write_record(record)
        return record

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep two changes of one service apart; raises `ServiceError` when another one is under way."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root.parent / f".{self.root.name}.lock")
        try:
            with lock.acquire(timeout=5):
                yield
        except Timeout:
            raise ServiceError(
                f"service '{self.root.name}' is being changed by another process; wait for it to end"
            ) from None

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root.parent / f".{self.root.name}.lock").unlink(missing_ok=True)
        with_suppressed_rmdir(self.root.parent)


def check_owner(directory: ServiceDirectory, owner: str, *, overwrite: bool) -> None:
    """Raise `ServiceError` where the service belongs to another stack and may not be overwritten."""
    record = directory.record()
    if record is not None and record.owner != owner and not overwrite:
        raise ServiceError(
            f"serviceName '{directory.root.name}' is taken by the stack {record.owner}; choose another serviceName, or "
            "set deployment.overwrite to true to replace that service"
        )


def with_suppressed_rmdir(path: Path) -> None:
    """Remove a folder if nothing is left in it."""
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
