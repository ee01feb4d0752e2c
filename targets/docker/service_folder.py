"""The folder in which a service of the `docker` target keeps its front door's files and the record of what serves.

<stateDirectory>/docker/<serviceName>/
    record.json    the generation that has the traffic, the port of the metrics
    envoy/         the front door's configuration, mounted into its container, with the keys (owner only)
    logs/          the logs of containers that failed and were removed
    reports/       the records of its rollouts
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from common.atomic_files import write_whole
from gateway.admin import Admin
from gateway.front_door_options import UNIX_PATH_LIMIT
from targets.errors import ServiceError
from targets.machine.service_folder import DoorRecord, ServiceFolder

__all__ = ["Folder", "Record"]


class Record(DoorRecord):
    """What `record.json` holds, the front door's part aside.

    Attributes:
        owner: Whose service it is.
        generation: The generation that has the traffic; 0 where none has.
        digest: Its digest.
        candidate: The generation that gets a share of the traffic; 0 where none does.
        candidate_digest: The candidate's digest.
        percent: The share that the candidate keeps until a later rollout; None while a rollout takes it through steps.
    """

    owner: str = ""
    generation: int = 0
    digest: str = ""
    candidate: int = 0
    candidate_digest: str = ""
    percent: int | None = None

    @property
    def serving(self) -> tuple[str, int]:
        """The owner and the generation by which the containers that have the traffic are found."""
        return self.owner, self.generation


@dataclass(frozen=True)
class Folder(ServiceFolder):
    """A service's folder."""

    RECORD: ClassVar[str] = "record.json"
    PARENT: ClassVar[str] = "docker"

    @classmethod
    def of(cls, state_directory: Path, service_name: str) -> "Folder":
        """Find the folder of the service of that name, or where a new one would live.

        Raises `ServiceError` where its path is too long for a socket.
        """
        folder = cls(cls.find(state_directory.resolve() / cls.PARENT, service_name), service_name)
        longest = len(str(folder.envoy / "admin.sock").encode())
        if longest > UNIX_PATH_LIMIT:
            raise ServiceError(
                f"stateDirectory: {folder.envoy / 'admin.sock'} has {longest} bytes, and a Unix socket's path may have "
                f"{UNIX_PATH_LIMIT}; set stateDirectory to a shorter path"
            )
        return folder

    @property
    def admin(self) -> Admin:
        """The admin socket of the service's Envoy."""
        return Admin(self.envoy / "admin.sock")

    @property
    def reports(self) -> Path:
        """The folder of the rollouts' records."""
        return self.root / "reports"

    def record(self) -> Record:
        """Read what serves."""
        file = self.root / self.RECORD
        return Record.model_validate_json(file.read_bytes()) if file.is_file() else Record()

    def write_record(self, record: Record) -> None:
        """Write down what serves."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.name != self.root.name and not record.names:
            record = record.model_copy(update={"names": [self.name]})
        write_whole(self.root / self.RECORD, record.model_dump_json(indent=2), mode=0o600)
