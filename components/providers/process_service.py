"""A service on the `process` target."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.providers.base import Provider, say
from processes import rollout, service
from processes.directory import ServiceDirectory
from processes.spec import ServiceSpec

__all__ = ["ProcessService"]


class ProcessServiceProvider(Provider):
    """Rolls a service out (`processes.rollout`), measures it and removes it.

    A service that is found stopped or unhealthy differs from its declaration: the next `up` restores it.
    """

    outputs = frozenset({"state", "problems", "generation"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["serviceName"], outs=_apply(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        if _olds["serviceName"] != _news["serviceName"]:
            outputs = _apply(_news)
            service.remove(Path(_olds["stateDirectory"]), _olds["serviceName"])
            return UpdateResult(outs=outputs)
        return UpdateResult(outs=_apply(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, {**props, **_state(props)})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        service.remove(Path(_props["stateDirectory"]), _props["serviceName"])

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not _state(outputs)["state"] == outputs.get("state") == "Healthy"


def _apply(props: dict[str, Any]) -> dict[str, Any]:
    spec = ServiceSpec.model_validate(props)
    generation = rollout.apply(spec, say)
    return {**props, **_state(props), "generation": generation.model_dump()}


def _state(props: Mapping[str, Any]) -> dict[str, Any]:
    measured = service.measure(ServiceDirectory.of(Path(props["stateDirectory"]), props["serviceName"]))
    return {"state": measured.state, "problems": list(measured.problems)}


class ProcessService(Resource, module="triton", name="ProcessService"):
    """Triton and the entry script server under a supervisor; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = ProcessServiceProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
