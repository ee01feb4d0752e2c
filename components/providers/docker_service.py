"""A service on the `docker` target."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.providers.base import say
from components.providers.machine_service import ServiceProvider, here, where
from targets.docker import rollout, service
from targets.docker.containers import digest_of
from targets.docker.owner import owner_of
from targets.docker.service_folder import Folder
from targets.docker.specification import ServiceSpec
from targets.state import Measured

__all__ = ["DockerService", "owned", "stack_of"]


def owned(props: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's inputs as they are on this machine, with the owner by which its containers are found."""
    return {**here(props), "owner": owner_of(props["owner"], where(props)[0])}


def stack_of(owner: str, props: Mapping[str, Any]) -> str:
    """A recorded owner as a stack's inputs name it: this stack's own name where the containers are its own."""
    return props["owner"] if owner == owned(props)["owner"] else owner


class DockerServiceProvider(ServiceProvider):
    """Containers: `targets.docker.rollout`, `targets.docker.service`."""

    def apply(self, props: dict[str, Any]) -> dict[str, Any]:
        record = rollout.apply(ServiceSpec.model_validate(owned(props)), say)
        return {"generation": {"number": record.generation, "digest": record.digest}}

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        # A new version of this project may render other containers.
        rendered = digest_of(ServiceSpec.model_validate(here(outputs)))
        return outputs["generation"]["digest"] != rendered or super().drifted(outputs)

    def folder(self, props: Mapping[str, Any]) -> Folder:
        return Folder.of(*where(props))

    def holder(self, props: Mapping[str, Any]) -> str:
        return stack_of(self.folder(props).record().owner, props)

    def measure(self, props: Mapping[str, Any]) -> Measured:
        return service.measure(*where(props))

    def remove(self, props: Mapping[str, Any]) -> None:
        service.remove(*where(props), owned(props)["owner"])


class DockerService(Resource, module="triton", name="DockerService"):
    """The containers of Triton and the entry script server; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = DockerServiceProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
