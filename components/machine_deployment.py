"""MachineDeployment: a service on this machine, whatever the target runs it as."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import pulumi

from components.access_keys import AccessKeys
from components.bundle_outputs import BundleOutputs
from components.deployment import Deployment, FrontDoor
from components.service_secrets import Secrets
from components.stack_settings import service_owner
from components.summaries import EnvironmentSummary
from provider.program_folder import state_directory
from provider.resource_type import token
from provider.resources.machine_service import MachineFrontDoor, MachineService
from provider.resources.smoke_check import SmokeCheck
from settings.certificate_file import certificate_host, server_name
from settings.schema import Framework, Settings
from targets.contract import machine_target
from targets.machine.local_host import loopback_host
from targets.machine.specification import client_key_names
from targets.machine_target import BEHIND

__all__ = ["MachineDeployment", "MachineDeploymentArgs"]


@dataclass(frozen=True)
class MachineDeploymentArgs:
    """A service's settings, its bundles and its owner (`components.stack_settings.service_owner`)."""

    settings: Settings
    _: KW_ONLY
    bundles: Sequence[BundleOutputs]
    owner: str


class MachineDeployment(Deployment):
    """A service on this machine, rolled out behind a probe.

    The target's specification says what the service is made of: the fields that it has are filled in. A target that
    needs more than settings, bundles and a script gives `parts`, in a class of its own.
    """

    keeps_its_name: ClassVar[bool] = True
    settings: Settings

    def __init__(self, name: str, args: MachineDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self.settings = settings = args.settings
        self.owner = args.owner
        self._target = settings.deployment.target
        super().__init__(token(self._target, "Deployment"), name, None, opts)
        self.environment = pulumi.Output.from_input(EnvironmentSummary(name=settings.environment.name))
        wanted = machine_target(self._target).service.specification.model_fields
        offered = {**self.service_inputs(args.bundles), **self.parts(name, args)}
        service = MachineService(
            self._target,
            f"{name}-service",
            {field: offered[field] for field in wanted if field in offered},
            pulumi.ResourceOptions(parent=self),
        )
        self.state, self.generation = service.state, service.generation
        self.behind = service.generation.apply(lambda found: bool(found.get(BEHIND)))
        self.outputs = {}
        scorer = settings.entry_script is not None
        self.shape = pulumi.Output.all(*(bundle.framework for bundle in args.bundles)).apply(
            lambda served: ["triton"] * (Framework.MULTI.value in served) + ["scorer"] * scorer
        )
        self.register_outputs({"state": self.state, "generation": self.generation})

    @classmethod
    def check(cls, name: str, settings: Settings) -> str:
        machine_target(settings.deployment.target).check(settings, service_owner(name))
        return ""

    @classmethod
    def of(
        cls,
        name: str,
        settings: Settings,
        bundles: Sequence[BundleOutputs],
        secrets: Secrets,
        opts: pulumi.ResourceOptions,
    ) -> "MachineDeployment":
        owner = service_owner(name)
        return cls(f"{name}-deployment", MachineDeploymentArgs(settings, bundles=bundles, owner=owner), opts)

    def parts(self, name: str, args: Any) -> dict[str, Any]:
        """Declare what the target's service needs besides, as children; gives inputs of the service."""
        return {}

    def door_parts(self, name: str, opts: pulumi.ResourceOptions) -> dict[str, Any]:
        """Declare what the target's front door needs besides; gives inputs of the front door."""
        return {}

    def service_inputs(self, bundles: Sequence[BundleOutputs]) -> dict[str, Any]:
        """Give the inputs of the service that settings, bundles and script make on every target of this machine."""
        return {
            **machine_target(self._target).declared_service(self.settings),
            "owner": self.owner,
            "state_directory": state_directory(self.settings.state_directory),
            "bundles": [bundle.served for bundle in bundles],
        }

    def front_door(self, name: str, keys: AccessKeys, gateway: pulumi.Resource) -> FrontDoor:
        settings, port = self.settings, self.settings.deployment.port
        opts = pulumi.ResourceOptions(parent=gateway, depends_on=[self])
        name = f"{name}-front-door"
        inputs = {**self._door_inputs(keys), **self.door_parts(name, opts)}
        door = MachineFrontDoor(self._target, name, inputs, opts)
        scheme, host = "https" if settings.tls else "http", certificate_host(settings)
        address = f"{'localhost' if '*' in host else host or loopback_host()}:{port}"
        return FrontDoor(
            state=door.state,
            url=pulumi.Output.from_input(f"{scheme}://{address}"),
            address=pulumi.Output.from_input(address),
            metrics_uri=pulumi.Output.format("http://{0}:{1}/metrics", loopback_host(), door.metrics_port),
            local_url=f"{scheme}://{loopback_host()}:{port}",
            outputs={},
        )

    def smoke_check(
        self, name: str, questions: Mapping[str, Any], door: FrontDoor, opts: pulumi.ResourceOptions
    ) -> pulumi.Output[int]:
        # What is behind the front door: another generation is another reason to ask.
        inputs = {
            **questions,
            "url": door.local_url,
            "server_name": server_name(self.settings),
            "generation": self.generation,
        }
        return SmokeCheck(name, inputs, opts).checks

    def _door_inputs(self, keys: AccessKeys) -> dict[str, Any]:
        client_keys = {
            name: key
            for client, pair in keys.clients.items()
            for name, key in zip(client_key_names(client), pair, strict=True)
        }
        return {
            **machine_target(self._target).declared_front_door(self.settings),
            "owner": self.owner,
            "state_directory": state_directory(self.settings.state_directory),
            "shape": self.shape,
            "primary_key": keys.primary,
            "secondary_key": keys.secondary,
            **({"client_keys": client_keys} if client_keys else {}),
        }
