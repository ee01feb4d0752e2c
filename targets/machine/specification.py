"""What a service of this machine is to be, whatever it runs as: the input of a rollout, and of the front door."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from common.part import Part
from gateway import envoy_files
from gateway.clients import Client
from gateway.front_door_options import Options, memory_for
from gateway.keys import Keys
from gateway.otel_variables import Traces
from settings.service_groups import Limits, Opening, Resources, RolloutPlan
from targets import commands
from targets.door_options import door_options
from targets.role import Role

__all__ = ["FrontDoorSpec", "ServiceSpec", "client_key_names"]


class ServiceSpec(Part):
    """A service to run; `variables` are the entry script's environment variables.

    `recorded_megabytes` is what the recorder keeps of requests to Triton; None where there is no recorder.
    """

    service_name: str
    owner: str
    overwrite: bool = False
    state_directory: Path
    variables: dict[str, str] = {}
    resources: Resources
    limits: Limits
    rollout: RolloutPlan
    recorded_megabytes: int | None = None

    @property
    def told(self) -> commands.Service:
        """What its programs are told of the service."""
        return commands.Service(
            name=self.service_name,
            threads=self.resources.threads,
            limits=self.limits,
            rollout=self.rollout,
            variables=self.variables,
        )


def client_key_names(client: str) -> tuple[str, str]:
    """Name the keys of a client in `FrontDoorSpec.client_keys`: the primary and the secondary one."""
    return f"{client}-primary", f"{client}-secondary"


class FrontDoorSpec(Part):
    """The front door that a service of `owner` should have; `shape` lists who is behind it: `triton`, `scorer` or both.

    `resources` are those of the service. `certificate_file` and `key_file` are absolute paths of PEM files in one
    folder, or empty. `client_keys` has the keys of clients by `client_key_names`.
    """

    service_name: str
    owner: str
    state_directory: Path
    shape: tuple[Role, ...]
    opening: Opening
    limits: Limits
    resources: Resources
    primary_key: SecretStr
    secondary_key: SecretStr
    certificate_file: str = ""
    key_file: str = ""
    cors_origins: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()
    traces: Traces | None = None
    client_keys: dict[str, SecretStr] = {}

    def options(self, **place: Any) -> Options:
        """Give the gateway's options; `place` has those that depend on where Envoy runs."""
        return door_options(
            self.limits,
            self.opening,
            clients=self.clients,
            memory_bytes=self.envoy_memory,
            cors_origins=self.cors_origins,
            traces=self.traces,
            **place,
        )

    def files(self, options: Options) -> dict[str, str]:
        """Render Envoy's files, the keys among them where clients need one."""
        if not self.opening.auth_enabled:
            return envoy_files.render(options)
        keys = Keys(self.primary_key.get_secret_value(), self.secondary_key.get_secret_value())
        own = {client.name: self._keys_of(client.name) for client in self.clients if client.has_keys}
        return envoy_files.render(options) | envoy_files.render_keys(keys, self.clients, own)

    def _keys_of(self, client: str) -> Keys:
        primary, secondary = (self.client_keys[name].get_secret_value() for name in client_key_names(client))
        return Keys(primary, secondary)

    @property
    def envoy_memory(self) -> int:
        """The least memory of Envoy, in bytes."""
        return memory_for(self.limits.max_request_megabytes)
