"""A copy of the project with a stack on this machine's Docker engine.

Pulumi's CLI and its Docker plugin run it where both are on PATH. Elsewhere the embedded engine does, with a plugin of
the tests' own that applies the program's resources by the Docker SDK.
"""

import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Any

import docker

from environment.image_layout import repository
from settings.service_groups import Limits, Resources, RolloutPlan
from targets.docker.specification import ServiceSpec
from tests.cluster.images import Images
from tests.docker import sdk_plugin
from tests.e2e.project import SOURCE, Project, by_pulumi

BY_CLI = bool(shutil.which("pulumi") and shutil.which("pulumi-resource-docker"))


def with_role(service: str, role: str) -> dict[str, list[str]]:
    """Filters of the engine for a service's containers of one role."""
    return {"label": [f"triton-serving.service={service}", f"triton-serving.role={role}"]}


def spec_of(images: Images, image: str, service: str, folder: Path, **changed: Any) -> ServiceSpec:
    """Describe a service of an image, whose network has the service's name."""
    values = {
        "service_name": service,
        "owner": "tests",
        "resources": Resources(),
        "limits": Limits(),
        "rollout": RolloutPlan(drain_seconds=30),
        "state_directory": folder,
        "network": service,
        "image": image,
        "bundles": (images.held_by(image),),
        "repositories": (repository("m", images.version_of(image)),),
    }
    return ServiceSpec(**{**values, **changed})


class DockerProject(Project):
    """A project whose stack has target `docker`; `images` are the base image and the front door's."""

    def __init__(self, root: Path, *, base_image: str, front_door_image: str) -> None:
        super().__init__(root)
        (root / ".venv").symlink_to(SOURCE / ".venv")  # where Pulumi.yaml says the program's Python is
        self.sdk = docker.from_env()
        self.environment["COLUMNS"] = "200"  # names of containers are long, and tables fold them
        if not BY_CLI:
            self.environment["PATH"] = f"{sdk_plugin.install(root / '.plugins')}:{os.environ['PATH']}"
        self.write_settings(
            serviceName=f"tests-{secrets.token_hex(4)}",  # an engine has more than one user
            deployment={"target": "docker", "cpuCores": 2, "memoryGb": 2},
            image={"baseImage": base_image},
            docker={"frontDoorImage": front_door_image},
        )

    def command(self, *arguments: str) -> list[str]:
        return by_pulumi(*arguments) if BY_CLI else super().command(*arguments)

    @property
    def service(self) -> str:
        """The service's name."""
        return str(self.settings["serviceName"])

    @property
    def machine(self) -> str:
        """An address of this machine that containers reach."""
        return str(self.sdk.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])

    def containers(self) -> dict[str, str]:
        """The service's containers, running or not: their names and ids."""
        label = f"triton-serving.service={self.service}"
        found = self.sdk.containers.list(all=True, filters={"label": label})
        return {container.name: container.id for container in found}

    def container(self, role: str) -> Any:
        """The one container of a role."""
        (found,) = self.sdk.containers.list(all=True, filters=with_role(self.service, role))
        return found

    def crash(self, role: str) -> None:
        """Kill a container's process as the kernel might. (`docker kill` is an order to stay down.)"""
        os.kill(self.container(role).attrs["State"]["Pid"], signal.SIGKILL)
