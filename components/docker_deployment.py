"""DockerDeployment: the service as containers of this machine's Docker engine."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from components.bundle_outputs import BundleOutputs
from components.machine_deployment import MachineDeployment, MachineDeploymentArgs
from components.service_image import ServiceImage, ServiceImageArgs, is_pushed
from components.service_secrets import Secrets
from components.stack_settings import service_owner
from components.summaries import EnvironmentSummary
from environment.dockerfile import held
from environment.image_layout import repository
from settings.schema import Framework, Settings
from targets.docker.containers import Labels
from targets.docker.engine import NoEngineError
from targets.docker.owner import owner_of, stack_and_place

__all__ = ["DockerDeployment", "DockerDeploymentArgs"]


@dataclass(frozen=True)
class DockerDeploymentArgs(MachineDeploymentArgs):
    """A service's settings, the bundles, the image that holds them, and the environment that the image is made from."""

    _: KW_ONLY
    image: pulumi.Input[str]
    environment: pulumi.Input[EnvironmentSummary] | None = None
    lock_files: pulumi.Input[Sequence[str]] = ()


class DockerDeployment(MachineDeployment):
    """A network of its own, and in it Triton and the entry script server, rolled out behind a probe.

    The network and the images are resources of Pulumi's Docker provider. The containers are not: they are rolled out by
    one resource, `DockerService`. Were each a resource, a replacement that does not become ready would leave its
    predecessor pending deletion, and the next update would start by deleting the one that serves. Here a failed
    rollout removes what it made and leaves the state as it was.
    """

    def __init__(self, name: str, args: DockerDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        if args.environment is not None:
            self.environment = pulumi.Output.from_input(args.environment)
        self.lock_files = args.lock_files
        self.pushed_image = args.image if is_pushed(args.settings) else ""

    @classmethod
    def check(cls, name: str, settings: Settings) -> str:
        try:
            return super().check(name, settings)
        except NoEngineError as error:
            if pulumi.runtime.is_dry_run():
                return str(error)
            raise

    @classmethod
    def of(
        cls,
        name: str,
        settings: Settings,
        bundles: Sequence[BundleOutputs],
        secrets: Secrets,
        opts: pulumi.ResourceOptions,
    ) -> "DockerDeployment":
        name, owner = f"{name}-deployment", service_owner(name)
        image = ServiceImage(f"{name}-image", ServiceImageArgs.of(settings, bundles, secrets), opts)
        args = DockerDeploymentArgs(
            settings,
            bundles=bundles,
            owner=owner,
            image=image.reference,
            environment=image.environment,
            lock_files=image.lock_files,
        )
        return cls(name, args, opts)

    def parts(self, name: str, args: DockerDeploymentArgs) -> dict[str, Any]:
        owner = owner_of(self.owner, Path(self.settings.state_directory))
        self._network = docker.Network(
            f"{name}-network",
            name=_network_name(owner),
            labels=[docker.NetworkLabelArgs(label=Labels.OWNER, value=owner)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        served = pulumi.Output.all(*(pulumi.Output.all(**bundle.served) for bundle in args.bundles))
        return {
            "network": self._network.name,
            "image": args.image,
            "bundles": served.apply(lambda every: [held(b["name"], int(b["version"]), b["digest"]) for b in every]),
            "repositories": served.apply(_repositories),
        }

    def door_parts(self, name: str, opts: pulumi.ResourceOptions) -> dict[str, Any]:
        image = self.settings.docker.front_door_image
        pulled = docker.RemoteImage(f"{name}-image", name=image, keep_locally=True, opts=opts)
        return {"network": self._network.name, "image": pulled.image_id}


def _network_name(owner: str) -> str:
    """A name that no other service's network has: the engine allows several of one name, and then starts nothing.

    It is not the service's, which may change while the front door goes on.
    """
    stack = re.sub(r"[^A-Za-z0-9_.-]+", "-", stack_and_place(owner)[0].rpartition("/")[2]).strip("-")
    return f"triton-serving-{stack}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"


def _repositories(served: Sequence[dict[str, Any]]) -> list[str]:
    """Triton's model repositories in the image: those of the bundles that it serves."""
    by_triton = [bundle for bundle in served if bundle["framework"] == Framework.MULTI.value]
    return [repository(bundle["name"], int(bundle["version"])) for bundle in by_triton]
