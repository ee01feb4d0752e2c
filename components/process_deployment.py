"""ProcessDeployment: the service as supervised processes of this machine."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.machine_deployment import MachineDeployment
from components.model_bundle import ModelBundle
from components.stack_settings import stack_name
from components.triton_environment import TritonEnvironment, TritonEnvironmentArgs
from provider.resources.process import ProcessFrontDoor, ProcessService
from settings.schema import Settings
from targets.entry_script import entry_script
from targets.process.front_door import check_port
from targets.process.service_folder import ServiceDirectory, check_owner
from targets.process.supervisor import check_path

__all__ = ["ProcessDeployment", "ProcessDeploymentArgs"]


@dataclass(frozen=True)
class ProcessDeploymentArgs:
    """A stack's settings and the parts of the service."""

    settings: Settings
    _: KW_ONLY
    bundles: Sequence[ModelBundle]
    environment: TritonEnvironment


class ProcessDeployment(MachineDeployment):
    """Triton and the entry script server, rolled out behind a probe and kept running by a supervisor.

    Raises `ServiceError` before anything is declared where the service's name belongs to another stack and may not be
    overwritten, and where another process holds the front door's port.
    """

    def __init__(self, name: str, args: ProcessDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        self.settings = settings = args.settings
        self.check(settings)
        super().__init__("triton:index:ProcessDeployment", name, None, opts)
        service = ProcessService(
            f"{name}-service",
            {
                **self.service_inputs(),
                "bundles": [bundle.served for bundle in args.bundles],
                "environment_path": args.environment.path,
                "environment_digest": args.environment.digest,
                "variables": dict(args.environment.variables),
                "entry_script": entry_script(settings),
            },
            pulumi.ResourceOptions(parent=self),
        )
        self.state = service.state
        self.generation = service.generation
        self.environment = args.environment.summary
        self.outputs = {}
        scorer = settings.entry_script is not None
        self.shape = pulumi.Output.all(*(bundle.framework for bundle in args.bundles)).apply(
            lambda frameworks: ["triton"] * ("Multi" in frameworks) + ["scorer"] * scorer
        )
        self.register_outputs({"state": self.state, "generation": self.generation})

    @classmethod
    def check(cls, settings: Settings) -> None:
        directory = ServiceDirectory.of(Path(settings.state_directory), settings.service_name)
        owner = stack_name()
        check_path(directory)
        check_owner(directory, owner, overwrite=settings.deployment.overwrite)
        record = directory.record()
        for setting, port in settings.deployment.ports.items():
            if record is None or not record.has_port(owner, port, setting):
                check_port(directory, port, owner, setting)

    @classmethod
    def of(cls, settings: Settings, bundles: Sequence[ModelBundle]) -> "ProcessDeployment":
        args = TritonEnvironmentArgs.of(settings, bundles)
        environment = TritonEnvironment(f"{settings.service_name}-environment", args)
        return cls(
            cls.named(settings, "deployment"), ProcessDeploymentArgs(settings, bundles=bundles, environment=environment)
        )

    def envoy(self, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> ProcessFrontDoor:
        return ProcessFrontDoor(name, inputs, opts)
