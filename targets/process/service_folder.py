"""The folder in which a service of the `process` target lives, and the record of what runs there.

<stateDirectory>/services/<serviceName>/
    service.json            owner, current generation, the next one's number
    supervisord.conf        and programs/*.conf: what the supervisor keeps running
    supervisor.sock         its control socket, and Envoy's admin socket: owner only
    generations/<number>/   the files of one generation: launch files, script, probe, model links
    envoy/                  the front door's configuration
    logs/                   a log per process and generation, rotated
    reports/                the records of its rollouts
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from common.atomic_files import write_whole
from targets.errors import ServiceError
from targets.machine.service_folder import DoorRecord, ServiceFolder
from targets.role import Role

__all__ = ["Generation", "Record", "ServiceDirectory"]

SUPERVISOR_SOCKET = "supervisor.sock"
ADMIN_SOCKET = "envoy-admin.sock"
LONGEST_SOCKET_PATH = 99  # sun_path of unix(7), less its NUL and what supervisord appends while it binds


class Generation(BaseModel):
    """One rollout's processes: the digest of their spec and the loopback ports they listen on."""

    number: int
    digest: str
    triton_http: int | None = None
    triton_grpc: int | None = None
    triton_metrics: int | None = None
    scorer: int | None = None
    recorder: int | None = None

    @property
    def ports(self) -> set[int]:
        """The ports that this generation's processes listen on."""
        ports = (self.triton_http, self.triton_grpc, self.triton_metrics, self.scorer, self.recorder)
        return {port for port in ports if port is not None}

    @property
    def servers(self) -> list[str]:
        """The supervisor's names of the processes that answer clients, in the order in which they start."""
        roles = Role.serving(triton=self.triton_http is not None, scorer=self.scorer is not None)
        return [f"{role}-{self.number}" for role in roles]

    @property
    def programs(self) -> list[str]:
        """The supervisor's names of this generation's processes, in the order in which they start."""
        return [*self.servers, *([f"{Role.RECORDER}-{self.number}"] if self.recorder else ())]


class Record(DoorRecord):
    """What `service.json` holds, the front door's part aside: whose service it is, and what has the traffic.

    Attributes:
        current: The generation that has the traffic.
        candidate: The generation that gets a share of it.
        percent: The share that the candidate keeps until a later rollout; None while a rollout takes it through steps.
        root: The folder as it was called when the current generation's files were written, with its path in them.
    """

    owner: str
    current: Generation | None = None
    candidate: Generation | None = None
    percent: int | None = None
    next_number: int = 1
    root: str = ""


@dataclass(frozen=True)
class ServiceDirectory(ServiceFolder):
    """A service's folder; `root` is made when the service is claimed."""

    RECORD: ClassVar[str] = "service.json"
    PARENT: ClassVar[str] = "services"

    @classmethod
    def of(cls, state_directory: Path, service_name: str) -> "ServiceDirectory":
        """Find the folder of the service of that name, or where a new one would live."""
        return cls(cls.find(state_directory.resolve() / cls.PARENT, service_name), service_name)

    @property
    def sockets(self) -> Path:
        """The folder of the control sockets: the service's own, or a short one where its path is too long.

        A copy of the folder has another one, and does not reach what the original runs; a moved folder keeps its own.
        """
        longest = self.root / max(SUPERVISOR_SOCKET, ADMIN_SOCKET, key=len)
        if len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH or not self.root.is_dir():
            return self.root
        return Path(f"/tmp/triton-{os.getuid()}-{self._identity}")

    @property
    def _identity(self) -> str:
        """What tells this folder from every other one, a copy too, and stays as it is when it is moved."""
        found = self.root.stat()
        return f"{found.st_dev:x}-{found.st_ino:x}"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket."""
        return self.sockets / SUPERVISOR_SOCKET

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin socket."""
        return self.sockets / ADMIN_SOCKET

    @property
    def pid_file(self) -> Path:
        """The file with the supervisor's process id."""
        return self.root / "supervisord.pid"

    @property
    def reports(self) -> Path:
        """The folder of the rollouts' records."""
        return self.root / "reports"

    @property
    def record_file(self) -> Path:
        """The file of the record."""
        return self.root / self.RECORD

    @property
    def envoy_log(self) -> Path:
        """Envoy's own log."""
        return self.logs / "envoy.log"

    @property
    def access_log(self) -> Path:
        """What Envoy writes of each request."""
        return self.logs / "access.log"

    @property
    def programs(self) -> Path:
        """The folder of what the supervisor keeps running, a file for each program."""
        return self.root / "programs"

    def generation(self, number: int) -> Path:
        """Give the folder of a generation's files."""
        return self.root / "generations" / str(number)

    def generation_numbers(self) -> list[int]:
        """List the generations whose files are here, the oldest first."""
        return sorted(int(folder.name) for folder in self.root.glob("generations/*") if folder.name.isdigit())

    def shared_memory(self, number: int) -> str:
        """Give the prefix of the shared memory regions of a generation's Triton, which no other generation has."""
        return f"triton-{self._identity}-{number}-"

    def remove_generation(self, number: int) -> None:
        """Remove a stopped generation's files, and the shared memory that a killed Triton left."""
        for region in Path("/dev/shm").glob(f"{self.shared_memory(number)}*"):
            region.unlink(missing_ok=True)
        shutil.rmtree(self.generation(number), ignore_errors=True)

    def record(self) -> Record | None:
        """Read what runs here; none where no service lives."""
        if not self.record_file.is_file():
            return None
        return Record.model_validate_json(self.record_file.read_bytes())

    def write_record(self, record: Record) -> None:
        """Write down what runs here."""
        write_whole(self.record_file, record.model_dump_json(indent=2), mode=0o600)

    def is_taken_from(self, owner: str) -> bool:
        """Whether another stack than `owner` has this service now."""
        record = self.record()
        return record is not None and record.owner != owner

    def claim(self, owner: str, *, overwrite: bool) -> Record:
        """Take this service's name for a stack, or raise `ServiceError` where another one owns it.

        With `overwrite` the rollout may replace the other stack's service, whose it stays until then.
        """
        check_owner(self, owner, overwrite=overwrite)
        record = self.record() or Record(owner=owner, names=[self.name] * (self.name != self.root.name))
        for folder in (self.root, self.programs, self.logs, self.envoy):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.sockets.mkdir(exist_ok=True, mode=0o700)
        if self.sockets.stat().st_uid != os.getuid():
            raise ServiceError(f"{self.sockets} belongs to somebody else; remove it, or clone into a shorter path")
        self.write_record(record)
        return record

    def remove(self) -> None:
        """Remove the folder with everything in it, the sockets and the shared memory too."""
        for number in self.generation_numbers():
            self.remove_generation(number)
        if self.sockets != self.root:
            shutil.rmtree(self.sockets, ignore_errors=True)
        super().remove()


def check_owner(directory: ServiceDirectory, owner: str, *, overwrite: bool) -> None:
    """Raise `ServiceError` where the service belongs to another stack and may not be overwritten."""
    record = directory.record()
    if record is not None and record.owner != owner and not overwrite:
        raise ServiceError(
            f"serviceName '{directory.name}' is taken by the stack {record.owner}; choose another serviceName, or "
            "set deployment.overwrite to true to replace that service"
        )
