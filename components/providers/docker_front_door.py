"""The front door on the `docker` target."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.providers.docker_service import owned, stack_of
from components.providers.machine_service import FrontDoorProvider, where
from targets.docker import front_door
from targets.docker.service_folder import Folder
from targets.docker.specification import FrontDoorSpec
from targets.state import Measured

__all__ = ["DockerFrontDoor"]


class DockerFrontDoorProvider(FrontDoorProvider):
    """Envoy's container: `targets.docker.front_door`."""

    def apply(self, props: dict[str, Any]) -> dict[str, Any]:
        return {"metricsPort": front_door.apply(FrontDoorSpec.model_validate(owned(props)))}

    def holder(self, props: Mapping[str, Any]) -> str:
        return stack_of(Folder.of(*where(props)).record().door_owner, props)

    def measure(self, props: Mapping[str, Any]) -> Measured:
        return front_door.measure(*where(props))

    def remove(self, props: Mapping[str, Any]) -> None:
        front_door.remove(*where(props), owned(props)["owner"])


class DockerFrontDoor(Resource, module="triton", name="DockerFrontDoor"):
    """Envoy's container in front of a service on this machine's engine; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    metricsPort: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = DockerFrontDoorProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
