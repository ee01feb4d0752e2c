"""A service and its front door on the target `docker`."""

from pathlib import Path
from typing import Any, TypeVar

import pulumi

from provider.declaration import Declaration
from provider.place import here
from provider.resource_type import Say
from provider.resources.measured import FrontDoorOutputs, FrontDoorType, ServiceOutputs, ServiceType
from targets.docker import front_door, rollout, service
from targets.docker.containers import digest_of
from targets.docker.owner import owner_of
from targets.docker.service_folder import Folder
from targets.docker.specification import FrontDoorSpec, ServiceSpec
from targets.state import Measured

__all__ = ["DockerFrontDoor", "DockerFrontDoorType", "DockerService", "DockerServiceType"]


S = TypeVar("S", ServiceSpec, FrontDoorSpec)


class DockerServiceType(ServiceType[ServiceSpec]):
    """The containers of Triton and of the entry script server."""

    inputs = ServiceSpec

    def apply(self, inputs: ServiceSpec, say: Say) -> dict[str, Any]:
        record = rollout.apply(_owned(inputs), say)
        return {"generation": {"number": record.generation, "digest": record.digest}}

    def drifted(self, inputs: ServiceSpec, known: ServiceOutputs) -> frozenset[str]:
        # A new version of this project may render other containers.
        if known.generation.get("digest") != digest_of(inputs):
            return frozenset({"generation"})
        return super().drifted(inputs, known)

    def folder(self, state_directory: Path, name: str) -> Folder:
        return Folder.of(state_directory, name)

    def holder(self, inputs: ServiceSpec) -> str:
        folder = self.folder(here(inputs.state_directory), inputs.service_name)
        return _stack_of(folder.record().owner, inputs)

    def found(self, inputs: ServiceSpec) -> Measured:
        return service.measure(here(inputs.state_directory), inputs.service_name)

    def remove(self, inputs: ServiceSpec, say: Say) -> None:
        service.remove(here(inputs.state_directory), inputs.service_name, _owned(inputs).owner)


class DockerService(Declaration):
    """The containers of Triton and of the entry script server; `state` is measured."""

    Inputs, Outputs = ServiceSpec, ServiceOutputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]


class DockerFrontDoorType(FrontDoorType[FrontDoorSpec]):
    """Envoy's container."""

    inputs = FrontDoorSpec

    def apply(self, inputs: FrontDoorSpec, say: Say) -> dict[str, Any]:
        return {"metrics_port": front_door.apply(_owned(inputs))}

    def holder(self, inputs: FrontDoorSpec) -> str:
        folder = Folder.of(here(inputs.state_directory), inputs.service_name)
        return _stack_of(folder.record().door_owner, inputs)

    def found(self, inputs: FrontDoorSpec) -> Measured:
        return front_door.measure(here(inputs.state_directory), inputs.service_name)

    def remove(self, inputs: FrontDoorSpec, say: Say) -> None:
        front_door.remove(here(inputs.state_directory), inputs.service_name, _owned(inputs).owner)


class DockerFrontDoor(Declaration):
    """Envoy's container in front of a service on this machine's engine; `state` is measured."""

    Inputs, Outputs = FrontDoorSpec, FrontDoorOutputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    metrics_port: pulumi.Output[int]


def _owned(inputs: S) -> S:
    """Inputs as they are on this machine, with the owner by which containers are found."""
    directory = here(inputs.state_directory)
    return inputs.model_copy(update={"state_directory": directory, "owner": owner_of(inputs.owner, directory)})


def _stack_of(owner: str, inputs: ServiceSpec | FrontDoorSpec) -> str:
    """A recorded owner as a stack's inputs name it: this stack's own name where the containers are its own."""
    return inputs.owner if owner == owner_of(inputs.owner, here(inputs.state_directory)) else owner
