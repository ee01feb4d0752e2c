"""A service on the `process` target."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.providers.base import say
from components.providers.machine_service import ServiceProvider, here, where
from targets.process import rollout, service
from targets.process.service_folder import ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.state import Measured

__all__ = ["ProcessService"]


class ProcessServiceProvider(ServiceProvider):
    """Supervised processes: `targets.process.rollout`, `targets.process.service`."""

    def apply(self, props: dict[str, Any]) -> dict[str, Any]:
        return {"generation": rollout.apply(ServiceSpec.model_validate(here(props)), say).model_dump()}

    def folder(self, props: Mapping[str, Any]) -> ServiceDirectory:
        return ServiceDirectory.of(*where(props))

    def holder(self, props: Mapping[str, Any]) -> str:
        record = self.folder(props).record()
        return record.owner if record else ""

    def measure(self, props: Mapping[str, Any]) -> Measured:
        return service.measure(self.folder(props))

    def remove(self, props: Mapping[str, Any]) -> None:
        if self.folder(props).is_taken_from(props["owner"]):
            say(f"the service '{props['serviceName']}' belongs to another stack now: it is left alone")
        service.remove(*where(props), props["owner"])


class ProcessService(Resource, module="triton", name="ProcessService"):
    """Triton and the entry script server under a supervisor; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = ProcessServiceProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
