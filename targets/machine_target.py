"""What a target of this machine does with a service, and with its front door.

    a resource's inputs ──► a specification ──► MachinePart.apply, measure, remove

Pulumi's resources and components are the same for all such targets: `provider/resources/machine_service.py` calls these
parts, and `components/machine_deployment.py` declares them with what `MachineTarget.declared_service` and
`declared_front_door` make of a stack's settings.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from gateway.cors_filter import VARIABLE, origins
from gateway.otel_variables import traces_of
from settings.clients import door_clients
from settings.schema import Settings
from targets.declared_script import entry_script
from targets.machine.service_folder import ServiceFolder
from targets.machine.specification import FrontDoorSpec, ServiceSpec
from targets.state import Measured

__all__ = ["BEHIND", "MachinePart", "MachineTarget", "Say"]

Say = Callable[[str], None]
BEHIND = "behind"
"""In a `generation` that serves where the settings ask for another: that one has a share of the traffic, or none."""
S = TypeVar("S", bound=ServiceSpec | FrontDoorSpec)


class MachinePart(ABC, Generic[S]):
    """A service or a front door on this machine, as its specification says. Each method may raise `ServiceError`.

    Attributes:
        specification: The model of what it is to be. Its state directory is absolute here.
    """

    specification: type[S]

    @abstractmethod
    def apply(self, spec: S, say: Say) -> dict[str, Any]:
        """Bring it to its specification.

        Returns:
            Of a service its `generation`, which changes with what serves; of a front door its `metrics_port`.
        """

    @abstractmethod
    def holder(self, spec: S) -> str:
        """Name the stack that has it: its owner, another that took it over, or "" where nobody has."""

    @abstractmethod
    def measure(self, spec: S) -> Measured:
        """Look at it."""

    @abstractmethod
    def remove(self, spec: S, say: Say) -> None:
        """Stop it and remove what it has; nothing happens where there is nothing."""

    def is_outdated(self, spec: S, generation: dict[str, Any]) -> bool:
        """Tell whether the same specification is to be applied again, although it runs and is well.

        A new version of this project would make another generation of it, or a killed rollout left a candidate other
        than `generation` tells.
        """
        return False


class MachineTarget(ABC):
    """A target whose services live on this machine."""

    service: MachinePart[Any]
    front_door: MachinePart[Any]

    def declared_service(self, settings: Settings) -> dict[str, Any]:
        """Give what a stack's settings alone say of its service, by the fields of a specification.

        Whoever makes the specification adds the outputs of resources. A target overrides it for fields of its own.
        """
        fields: dict[str, Any] = {
            "service_name": settings.service_name,
            "overwrite": settings.deployment.overwrite,
            "variables": settings.environment.variables,
            "resources": settings.deployment.resources,
            "limits": settings.deployment.limits,
            "rollout": settings.deployment.rollout_plan,
        }
        if settings.deployment.record_requests is not None:
            fields["recorded_megabytes"] = settings.deployment.record_requests.max_megabytes
        if "entry_script" in self.service.specification.model_fields:
            fields["entry_script"] = entry_script(settings)
        return fields

    def declared_front_door(self, settings: Settings) -> dict[str, Any]:
        """Give what a stack's settings alone say of its front door, by the fields of a specification."""
        fields: dict[str, Any] = {
            "service_name": settings.service_name,
            "opening": settings.deployment.opening,
            "limits": settings.deployment.limits,
            "resources": settings.deployment.resources,
        }
        if allowed := origins(settings.environment.variables.get(VARIABLE, "")):
            fields["cors_origins"] = list(allowed)
        if traces := traces_of(settings.environment.variables, settings.service_name):
            fields["traces"] = traces.model_dump(mode="json", by_alias=True)
        if settings.clients:
            clients = door_clients(settings.clients)
            fields["clients"] = [client.model_dump(mode="json", by_alias=True, exclude_none=True) for client in clients]
        if settings.tls is not None:
            fields["certificate_file"] = str(Path(settings.tls.certificate_file).resolve())
            fields["key_file"] = str(Path(settings.tls.key_file).resolve())
        return fields

    @abstractmethod
    def folder(self, state_directory: Path, service: str) -> ServiceFolder:
        """Find the folder in which a service keeps its files."""

    @abstractmethod
    def check(self, settings: Settings, owner: str) -> None:
        """Refuse a stack's service before anything is declared.

        Raises:
            ServiceError: The service's name or a port of it belongs to somebody else, or the machine cannot run it.
        """
