"""What a service of this machine is to be, whatever it runs as: the input of a rollout, and of the front door."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel

from targets import commands

__all__ = ["FrontDoorSpec", "Part", "ServiceSpec"]


class Part(BaseModel):
    """A part of a declaration, with its names as Pulumi's inputs have them; what it does not know is left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, extra="ignore")


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
    """The front door that a service should have.

    `certificate_file` and `key_file` are absolute paths of PEM files in one folder, or empty.
    """

    service_name: str
    state_directory: Path
    port: int
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
