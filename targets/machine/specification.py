"""What a service of this machine is to be, whatever it runs as: the input of a rollout, and of the front door."""

from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from common.part import Part
from gateway import envoy_files
from gateway.front_door_options import Options, memory_for
from gateway.keys import Keys
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

    def options(self, **place: Any) -> Options:
        """Give the gateway's options; `place` has those that depend on where Envoy runs."""
        return Options(
            **place,
            auth_enabled=self.auth_enabled,
            timeout_seconds=self.scoring_timeout_ms / 1000,
            max_request_bytes=self.max_request_megabytes * 1024 * 1024,
            requests_per_second=self.max_requests_per_second,
            memory_bytes=self.envoy_memory,
            cors_origins=self.cors_origins,
        )

    def files(self, options: Options) -> dict[str, str]:
        """Render Envoy's files, the keys among them where clients need one."""
        if not self.auth_enabled:
            return envoy_files.render(options)
        keys = Keys(self.primary_key.get_secret_value(), self.secondary_key.get_secret_value())
        return envoy_files.render(options) | envoy_files.render_keys(keys)

    @property
    def envoy_memory(self) -> int:
        """The least memory of Envoy, in bytes."""
        return memory_for(self.max_request_megabytes)
