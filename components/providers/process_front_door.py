"""The front door on the `process` target."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from components.providers.base import Provider
from processes import front_door
from processes.directory import ServiceDirectory

__all__ = ["ProcessFrontDoor"]


class ProcessFrontDoorProvider(Provider):
    """Opens, changes and closes the front door (`processes.front_door`); one that is found closed is opened again."""

    outputs = frozenset({"metricsPort"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["serviceName"], outs=_apply(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_apply(_news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        front_door.remove(Path(_props["stateDirectory"]), _props["serviceName"])

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not front_door.is_open(ServiceDirectory.of(Path(outputs["stateDirectory"]), outputs["serviceName"]))


def _apply(props: dict[str, Any]) -> dict[str, Any]:
    return {**props, "metricsPort": front_door.apply(front_door.FrontDoorSpec.model_validate(props))}


class ProcessFrontDoor(Resource, module="triton", name="ProcessFrontDoor"):
    """Envoy in front of a service of this machine."""

    metricsPort: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = ProcessFrontDoorProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
