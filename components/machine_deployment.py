"""MachineDeployment: what deployments on this machine share, be they processes or containers."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pulumi

from components.access_keys import AccessKeys
from components.deployment import Deployment, FrontDoor
from components.stack_settings import stack_name
from gateway.cors_filter import VARIABLE, origins
from provider.place import state_directory
from provider.resources.smoke_check import SmokeCheck
from settings.certificate import certificate_host
from settings.schema import Settings
from targets.machine.loopback import loopback_host

__all__ = ["MachineDeployment", "MachineFrontDoor"]


class MachineFrontDoor(Protocol):
    """Envoy on this machine; `state` is measured, `metrics_port` leads to all metrics."""

    state: pulumi.Output[str]
    metrics_port: pulumi.Output[int]


class MachineDeployment(Deployment):
    """A deployment on this machine."""

    keeps_its_name: ClassVar[bool] = True
    settings: Settings

    @abstractmethod
    def envoy(self, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> MachineFrontDoor:
        """Declare Envoy in front of this deployment."""

    def service_inputs(self) -> dict[str, Any]:
        """The inputs of the service that the settings give on every target of this machine."""
        settings, deployment = self.settings, self.settings.deployment
        return {
            "service_name": settings.service_name,
            "owner": stack_name(),
            "overwrite": deployment.overwrite,
            "state_directory": state_directory(settings.state_directory),
            "gpu_cores": deployment.gpu_cores,
            "cpu_cores": deployment.cpu_cores,
            "memory_mb": deployment.memory_mb,
            "scoring_timeout_ms": deployment.scoring_timeout_ms,
            "max_request_megabytes": deployment.max_request_megabytes,
            "strategy": deployment.rollout.strategy,
            "deadline_seconds": deployment.rollout.deadline_seconds,
            "drain_seconds": deployment.drain_seconds,
        }

    def front_door(self, name: str, keys: AccessKeys, gateway: pulumi.Resource) -> FrontDoor:
        settings, port = self.settings, self.settings.deployment.port
        opts = pulumi.ResourceOptions(parent=gateway, depends_on=[self])
        door = self.envoy(f"{name}-front-door", self._door_inputs(keys), opts)
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
        host = certificate_host(self.settings).replace("*", "check")
        # What is behind the front door: another generation is another reason to ask.
        inputs = {**questions, "url": door.local_url, "server_name": host, "generation": self.generation}
        return SmokeCheck(name, inputs, opts).checks

    def _door_inputs(self, keys: AccessKeys) -> dict[str, Any]:
        settings, deployment = self.settings, self.settings.deployment
        inputs: dict[str, Any] = {
            "service_name": settings.service_name,
            "owner": stack_name(),
            "state_directory": state_directory(settings.state_directory),
            "shape": self.shape,
            "port": deployment.port,
            "public": deployment.public,
            "auth_enabled": deployment.auth_enabled,
            "primary_key": keys.primary,
            "secondary_key": keys.secondary,
            "scoring_timeout_ms": deployment.scoring_timeout_ms,
            "max_request_megabytes": deployment.max_request_megabytes,
            "max_requests_per_second": deployment.max_requests_per_second,
            "fixed_metrics_port": deployment.metrics_port,
            "cpu_cores": deployment.cpu_cores,
            "memory_mb": deployment.memory_mb,
        }
        if allowed := origins(settings.environment.variables.get(VARIABLE, "")):
            inputs["cors_origins"] = list(allowed)
        if settings.tls is not None:
            inputs["certificate_file"] = str(Path(settings.tls.certificate_file).resolve())
            inputs["key_file"] = str(Path(settings.tls.key_file).resolve())
        return inputs
