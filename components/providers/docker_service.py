"""A service on the `docker` target."""

from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.providers.base import say
from components.providers.machine_service import ServiceProvider
from docker_target import rollout, service
from docker_target.spec import ServiceSpec

__all__ = ["DockerService"]


class DockerServiceProvider(ServiceProvider):
    """Containers: `docker_target.rollout`, `docker_target.service`."""

    def roll_out(self, props: dict[str, Any]) -> dict[str, Any]:
        record = rollout.apply(ServiceSpec.model_validate(props), say)
        return {"number": record.generation, "digest": record.digest}

    def measure(self, state_directory: Path, service_name: str) -> tuple[str, list[str]]:
        measured = service.measure(state_directory, service_name)
        return measured.state, list(measured.problems)

    def remove(self, state_directory: Path, service_name: str) -> None:
        service.remove(state_directory, service_name)


class DockerService(Resource, module="triton", name="DockerService"):
    """The containers of Triton and the entry script server; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = DockerServiceProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
