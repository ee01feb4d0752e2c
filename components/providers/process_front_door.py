"""The front door on the `process` target."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.providers.machine_service import FrontDoorProvider, here, where
from targets.machine.specification import FrontDoorSpec
from targets.process import front_door
from targets.process.service_folder import ServiceDirectory
from targets.state import Measured

__all__ = ["ProcessFrontDoor"]


class ProcessFrontDoorProvider(FrontDoorProvider):
    """A supervised Envoy: `targets.process.front_door`."""

    def apply(self, props: dict[str, Any]) -> dict[str, Any]:
        return {"metricsPort": front_door.apply(FrontDoorSpec.model_validate(here(props)))}

    def holder(self, props: Mapping[str, Any]) -> str:
        record = ServiceDirectory.of(*where(props)).record()
        return record.door_owner if record else ""

    def measure(self, props: Mapping[str, Any]) -> Measured:
        return front_door.measure(ServiceDirectory.of(*where(props)))

    def remove(self, props: Mapping[str, Any]) -> None:
        front_door.remove(*where(props), props["owner"])


class ProcessFrontDoor(Resource, module="triton", name="ProcessFrontDoor"):
    """Envoy in front of a service of this machine; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    metricsPort: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = ProcessFrontDoorProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
