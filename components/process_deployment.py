"""ProcessDeployment: the service as supervised processes of this machine."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.machine_deployment import MachineDeployment
from components.model_bundle import ModelBundle
from components.providers.machine_service import state_directory
from components.providers.process_front_door import ProcessFrontDoor
from components.providers.process_service import ProcessService
from components.stack_settings import stack_name
from components.triton_environment import TritonEnvironment
from settings.schema import Settings
from targets.entry_script import entry_script
from targets.process.front_door import check_port
from targets.process.service_folder import ServiceDirectory, check_owner
from targets.process.supervisor import check_path

__all__ = ["ProcessDeployment", "ProcessDeploymentArgs", "check_machine"]


@dataclass(frozen=True)
class ProcessDeploymentArgs:
    """A stack's settings, the folder at which its relative paths start, and the parts of the service."""

    settings: Settings
    project: Path
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
        check_machine(settings, args.project)
        super().__init__("triton:index:ProcessDeployment", name, None, opts)
        inputs: dict[str, Any] = {
            "serviceName": settings.service_name,
            "owner": self._owner,
            "overwrite": deployment.overwrite,
            "stateDirectory": state_directory(args.project, settings.state_directory),
            "bundles": [bundle.served for bundle in args.bundles],
            "environmentPath": args.environment.path,
            "environmentDigest": args.environment.digest,
            "variables": dict(args.environment.variables),
            "gpuCores": deployment.gpu_cores,
            "cpuCores": deployment.cpu_cores,
            "memoryMb": deployment.memory_mb,
            "scoringTimeoutMs": deployment.scoring_timeout_ms,
            "maxRequestMegabytes": deployment.max_request_megabytes,
            "strategy": deployment.rollout.strategy,
            "deadlineSeconds": deployment.rollout.deadline_seconds,
            "drainSeconds": deployment.drain_seconds,
        }
        script = entry_script(settings, args.project)
        if script is not None:
            inputs["entryScript"] = script
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


def check_machine(settings: Settings, project: Path) -> None:
    """Raise `ServiceError` where the service's name or its port belongs to somebody else on this machine."""
    directory = ServiceDirectory.of(project / settings.state_directory, settings.service_name)
    owner = stack_name()
    check_path(directory)
    check_owner(directory, owner, overwrite=settings.deployment.overwrite)
    record = directory.record()
    if record is None or not record.has_port(owner, settings.deployment.port):
        check_port(directory, settings.deployment.port, owner)
