"""What a service of this machine is to be, whatever it runs as: the input of a rollout, and of the front door."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from common.part import Part
from targets import commands
from targets.role import Role

__all__ = ["FrontDoorSpec", "ServiceSpec"]


class ServiceSpec(Part):
    """A service to run. Times are in seconds unless their name says otherwise, memory is in MiB.

    `variables` are the entry script's environment variables.
    """

    service_name: str
    owner: str
    overwrite: bool = False
    state_directory: Path
    variables: dict[str, str] = {}
    gpu_cores: int = 0
    cpu_cores: float = 1
    memory_mb: int = 4096
    scoring_timeout_ms: int = 60_000
    max_request_megabytes: int
    strategy: Literal["surge", "recreate"] = "surge"
    deadline_seconds: int = 300
    drain_seconds: int = 30

    @property
    def told(self) -> commands.Service:
        """What its programs are told of the service."""
        return commands.Service(
            name=self.service_name,
            cpu_cores=self.cpu_cores,
            scoring_timeout_ms=self.scoring_timeout_ms,
            max_request_megabytes=self.max_request_megabytes,
            drain_seconds=self.drain_seconds,
            variables=self.variables,
        )


class FrontDoorSpec(Part):
    """The front door that a service of `owner` should have; `shape` lists who is behind it: `triton`, `scorer` or both.

    `certificate_file` and `key_file` are absolute paths of PEM files in one folder, or empty. Without a
    `fixed_metrics_port` the metrics have a free port.
    """

    service_name: str
    owner: str
    state_directory: Path
    shape: tuple[Role, ...]
    port: int
    fixed_metrics_port: int | None = None
    public: bool = False
    auth_enabled: bool = True
    primary_key: SecretStr
    secondary_key: SecretStr
    certificate_file: str = ""
    key_file: str = ""
    scoring_timeout_ms: int = 60_000
    max_request_megabytes: int = 64
    max_requests_per_second: int | None = None
    cpu_cores: float = 1
    memory_mb: int = 4096
    cors_origins: tuple[str, ...] = ()
