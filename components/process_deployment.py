"""ProcessDeployment: the service as supervised processes of this machine."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import pulumi

from components.machine_deployment import MachineDeployment, MachineDeploymentArgs
from components.model_bundle import ModelBundle
from components.triton_environment import TritonEnvironment, TritonEnvironmentArgs
from settings.schema import Settings

__all__ = ["ProcessDeployment", "ProcessDeploymentArgs"]


@dataclass(frozen=True)
class ProcessDeploymentArgs(MachineDeploymentArgs):
    """A stack's settings, its bundles, and the environment that serves them."""

    _: KW_ONLY
    environment: TritonEnvironment


class ProcessDeployment(MachineDeployment):
    """Triton and the entry script server, rolled out behind a probe and kept running by a supervisor."""

    def __init__(self, name: str, args: ProcessDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args, opts)
        self.environment = args.environment.summary

    @classmethod
    def of(cls, settings: Settings, bundles: Sequence[ModelBundle]) -> "ProcessDeployment":
        args = TritonEnvironmentArgs.of(settings, bundles)
        environment = TritonEnvironment(f"{settings.service_name}-environment", args)
        return cls(
            cls.named(settings, "deployment"), ProcessDeploymentArgs(settings, bundles=bundles, environment=environment)
        )

    def parts(self, name: str, args: ProcessDeploymentArgs) -> dict[str, Any]:
        environment = args.environment
        return {
            "environment_path": environment.path,
            "environment_digest": environment.digest,
            "variables": dict(environment.variables),
        }
