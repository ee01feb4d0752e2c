"""Deployment: what every target's deployment gives to the rest of a program."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from importlib import import_module
from typing import Any, ClassVar

import pulumi

from components.access_keys import AccessKeys
from components.bundle_outputs import BundleOutputs
from components.service_secrets import Secrets
from components.summaries import EnvironmentSummary
from settings.schema import Settings, Target

__all__ = ["Deployment", "FrontDoor", "check_place", "deployment_on"]

_OF_THIS_MACHINE = "machine_deployment:MachineDeployment"
_OWN = {
    Target.PROCESS: "process_deployment:ProcessDeployment",
    Target.DOCKER: "docker_deployment:DockerDeployment",
    Target.NODE_POOL: "node_pool_deployment:NodePoolDeployment",
}
"""Each target's module and class, imported for a stack of that target: Kubernetes' SDK takes as long as the rest."""


@dataclass(frozen=True)
class FrontDoor:
    """Envoy in front of a deployment.

    Attributes:
        state: How it was found.
        url: Where clients find it.
        address: Its host and port for clients of gRPC; None where there is none for them.
        metrics_uri: Where all metrics are.
        local_url: Where this machine finds it; "" where it has to look for a way.
        own_address: A load balancer's own address, or "".
        outputs: What it adds to the stack's outputs.
    """

    state: pulumi.Output[str]
    url: pulumi.Output[str]
    address: pulumi.Output[str | None]
    metrics_uri: pulumi.Output[str]
    _: KW_ONLY
    local_url: str = ""
    own_address: pulumi.Input[str] = ""
    outputs: Mapping[str, Any]


class Deployment(pulumi.ComponentResource):
    """A service on a target, behind no front door yet.

    Attributes:
        state: How what serves was found.
        generation: Changes with what serves.
        behind: Whether another generation serves than the declared one, which has a share of the traffic or none.
        shape: Who serves: `triton`, `scorer` or both.
        environment: The environment that serves.
        lock_files: The files with the locks of the environment's packages.
        pushed_image: The service's image by digest, where it is in a repository, or "".
        outputs: What the target adds to the stack's outputs.
        keeps_its_name: Whether its resources stay the same when the service gets another name: its port never closes.
    """

    state: pulumi.Output[str]
    generation: pulumi.Output[Any]
    behind: pulumi.Output[bool]
    shape: pulumi.Output[list[str]]
    environment: pulumi.Output[EnvironmentSummary]
    lock_files: pulumi.Input[Sequence[str]] = ()
    pushed_image: pulumi.Input[str] = ""
    outputs: Mapping[str, Any]
    keeps_its_name: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def check(cls, name: str, settings: Settings) -> str:
        """Refuse a service before anything is declared: a later refusal would leave beginnings where nobody previews.

        Args:
            name: The name of the component that declares the service.
            settings: The service's settings.

        Returns:
            Why a preview could not check it, for a warning; "" where it could.

        Raises:
            ServiceError: Its name or its port belongs to somebody else.
        """

    @classmethod
    @abstractmethod
    def of(
        cls,
        name: str,
        settings: Settings,
        bundles: Sequence[BundleOutputs],
        secrets: Secrets,
        opts: pulumi.ResourceOptions,
    ) -> "Deployment":
        """Declare the environment that a service's settings ask for, and the service in it.

        Args:
            name: The name of the component that declares the service.
            settings: The service's settings.
            bundles: What it serves.
            secrets: What it is given.
            opts: The options of what is declared.
        """

    @classmethod
    def prefix(cls, name: str, settings: Settings) -> str:
        """Give the start of the names of a service's resources.

        Args:
            name: The name of the component that declares the service.
            settings: The service's settings.
        """
        return name if cls.keeps_its_name or name == settings.service_name else f"{name}-{settings.service_name}"

    @abstractmethod
    def front_door(self, name: str, keys: AccessKeys, gateway: pulumi.Resource) -> FrontDoor:
        """Declare Envoy, as children of a gateway of that name."""

    @abstractmethod
    def smoke_check(
        self, name: str, questions: Mapping[str, Any], door: FrontDoor, opts: pulumi.ResourceOptions
    ) -> pulumi.Output[int]:
        """Declare the resource that asks questions through the front door; gives how many were asked."""


def deployment_on(target: Target) -> type[Deployment]:
    """Import a target's deployment."""
    module, _, name = _OWN.get(target, _OF_THIS_MACHINE).partition(":")
    found: type[Deployment] = getattr(import_module(f"components.{module}"), name)
    return found


def check_place(name: str, settings: Settings) -> str:
    """Check the place of a service once in a program: see `Deployment.check`.

    A provider's process may live from a preview to the update, which must not take the preview's answer.
    """
    key = pulumi.runtime.is_dry_run(), name, settings.model_dump_json()
    if key not in _CHECKED:
        _CHECKED[key] = deployment_on(settings.deployment.target).check(name, settings)
    return _CHECKED[key]


_CHECKED: dict[tuple[bool, str, str], str] = {}
