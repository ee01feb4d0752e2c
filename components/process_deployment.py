"""ProcessDeployment: the service as supervised processes of this machine."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.machine_deployment import MachineDeployment
from components.model_bundle import ModelBundle
from components.stack_settings import stack_name
from components.triton_environment import TritonEnvironment
from provider.place import state_directory
from provider.resources.process import ProcessFrontDoor, ProcessService
from settings.schema import Settings
from targets.entry_script import entry_script
from targets.process.front_door import check_port
from targets.process.service_folder import ServiceDirectory, check_owner
from targets.process.supervisor import check_path

__all__ = ["ProcessDeployment", "ProcessDeploymentArgs", "check_machine"]


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
        settings, deployment = args.settings, args.settings.deployment
        self._owner = stack_name()
        check_machine(settings)
        super().__init__("triton:index:ProcessDeployment", name, None, opts)
        inputs: dict[str, Any] = {
            "service_name": settings.service_name,
            "owner": self._owner,
            "overwrite": deployment.overwrite,
            "state_directory": state_directory(settings.state_directory),
            "bundles": [bundle.served for bundle in args.bundles],
            "environment_path": args.environment.path,
            "environment_digest": args.environment.digest,
            "variables": dict(args.environment.variables),
            "gpu_cores": deployment.gpu_cores,
            "cpu_cores": deployment.cpu_cores,
            "memory_mb": deployment.memory_mb,
            "scoring_timeout_ms": deployment.scoring_timeout_ms,
            "max_request_megabytes": deployment.max_request_megabytes,
            "strategy": deployment.rollout.strategy,
            "deadline_seconds": deployment.rollout.deadline_seconds,
            "drain_seconds": deployment.drain_seconds,
        }
        script = entry_script(settings)
        if script is not None:
            inputs["entry_script"] = script
        service = ProcessService(f"{name}-service", inputs, pulumi.ResourceOptions(parent=self))
        self.state = service.state
        self.generation = service.generation
        scorer = ["scorer"] if settings.entry_script is not None else []
        self.shape = pulumi.Output.all(*(bundle.framework for bundle in args.bundles)).apply(
            lambda frameworks: (["triton"] if "Multi" in frameworks else []) + scorer
        )
        self.register_outputs({"state": self.state, "generation": self.generation})

    def front_door(self, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> ProcessFrontDoor:
        return ProcessFrontDoor(name, {**inputs, "owner": self._owner}, opts)


def check_machine(settings: Settings) -> None:
    """Raise `ServiceError` where the service's name or its port belongs to somebody else on this machine."""
    directory = ServiceDirectory.of(Path(settings.state_directory), settings.service_name)
    owner = stack_name()
    check_path(directory)
    check_owner(directory, owner, overwrite=settings.deployment.overwrite)
    record = directory.record()
    for setting, port in settings.deployment.ports.items():
        if record is None or not record.has_port(owner, port, setting):
            check_port(directory, port, owner, setting)
