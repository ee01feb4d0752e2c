"""A service and its front door on the target `process`."""

from pathlib import Path
from typing import Any

import pulumi

from provider.declaration import Declaration
from provider.place import here
from provider.resource_type import Say
from provider.resources.measured import FrontDoorOutputs, FrontDoorType, ServiceOutputs, ServiceType
from targets.machine.specification import FrontDoorSpec
from targets.process import front_door, rollout, service
from targets.process.service_folder import ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.state import Measured

__all__ = ["ProcessFrontDoor", "ProcessFrontDoorType", "ProcessService", "ProcessServiceType"]


class ProcessServiceType(ServiceType[ServiceSpec]):
    """Triton and the entry script server under a supervisor."""

    inputs = ServiceSpec

    def apply(self, inputs: ServiceSpec, say: Say) -> dict[str, Any]:
        return {"generation": rollout.apply(_on_this_machine(inputs), say).model_dump()}

    def folder(self, state_directory: Path, name: str) -> ServiceDirectory:
        return ServiceDirectory.of(state_directory, name)

    def holder(self, inputs: ServiceSpec) -> str:
        record = self._folder(inputs).record()
        return record.owner if record else ""

    def found(self, inputs: ServiceSpec) -> Measured:
        return service.measure(self._folder(inputs))

    def remove(self, inputs: ServiceSpec, say: Say) -> None:
        if self._folder(inputs).is_taken_from(inputs.owner):
            say(f"the service '{inputs.service_name}' belongs to another stack now: it is left alone")
        service.remove(here(inputs.state_directory), inputs.service_name, inputs.owner)

    def _folder(self, inputs: ServiceSpec) -> ServiceDirectory:
        return self.folder(here(inputs.state_directory), inputs.service_name)


class ProcessService(Declaration):
    """Triton and the entry script server under a supervisor; `state` is measured."""

    Inputs, Outputs = ServiceSpec, ServiceOutputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]


class ProcessFrontDoorType(FrontDoorType[FrontDoorSpec]):
    """A supervised Envoy."""

    inputs = FrontDoorSpec

    def apply(self, inputs: FrontDoorSpec, say: Say) -> dict[str, Any]:
        return {"metrics_port": front_door.apply(_on_this_machine(inputs))}

    def holder(self, inputs: FrontDoorSpec) -> str:
        record = self._folder(inputs).record()
        return record.door_owner if record else ""

    def found(self, inputs: FrontDoorSpec) -> Measured:
        return front_door.measure(self._folder(inputs))

    def remove(self, inputs: FrontDoorSpec, say: Say) -> None:
        front_door.remove(here(inputs.state_directory), inputs.service_name, inputs.owner)

    def _folder(self, inputs: FrontDoorSpec) -> ServiceDirectory:
        return ServiceDirectory.of(here(inputs.state_directory), inputs.service_name)


class ProcessFrontDoor(Declaration):
    """Envoy in front of a service of this machine; `state` is measured."""

    Inputs, Outputs = FrontDoorSpec, FrontDoorOutputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    metrics_port: pulumi.Output[int]


def _on_this_machine(inputs: Any) -> Any:
    return inputs.model_copy(update={"state_directory": here(inputs.state_directory)})
