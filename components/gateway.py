"""Gateway: the front door of a service that runs on this machine."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.machine_deployment import MachineDeployment
from gateway.cors_filter import VARIABLE, origins
from provider.place import state_directory
from settings.certificate import certificate_host
from settings.schema import Settings
from targets.machine.loopback import loopback_host
from targets.state import overall

__all__ = ["Gateway", "GatewayArgs"]


@dataclass(frozen=True)
class GatewayArgs:
    """A stack's settings, the keys, and what is behind the door."""

    settings: Settings
    _: KW_ONLY
    keys: AccessKeys
    deployment: MachineDeployment


class Gateway(pulumi.ComponentResource):
    """Envoy on the service's port: keys, routes, limits, TLS.

    `url` names the host that the certificate is for, `local_url` this machine. `scoring_uri` is where clients send
    requests: `/score`, or the base URI where Triton serves without a script. `triton_uri` and `swagger_uri` are none
    where nobody answers there, and so is `grpc_uri`, a host and a port as Triton's gRPC clients take them. `state` is
    measured, of the door and of what is behind it.
    """

    url: str
    local_url: str
    scoring_uri: str
    triton_uri: pulumi.Output[str | None]
    grpc_uri: pulumi.Output[str | None]
    swagger_uri: str | None
    metrics_uri: pulumi.Output[str]
    state: pulumi.Output[str]

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, deployment = args.settings, args.settings.deployment
        super().__init__("triton:index:Gateway", name, None, opts)
        inputs: dict[str, Any] = {
            "service_name": settings.service_name,
            "state_directory": state_directory(settings.state_directory),
            "port": deployment.port,
            "public": deployment.public,
            "auth_enabled": deployment.auth_enabled,
            "primary_key": args.keys.primary,
            "secondary_key": args.keys.secondary,
            "scoring_timeout_ms": deployment.scoring_timeout_ms,
            "max_request_megabytes": deployment.max_request_megabytes,
            "cpu_cores": deployment.cpu_cores,
            "memory_mb": deployment.memory_mb,
            "shape": args.deployment.shape,
        }
        if deployment.metrics_port is not None:
            inputs["fixed_metrics_port"] = deployment.metrics_port
        if deployment.max_requests_per_second is not None:
            inputs["max_requests_per_second"] = deployment.max_requests_per_second
        allowed = origins(settings.environment.variables.get(VARIABLE, ""))
        if allowed:
            inputs["cors_origins"] = list(allowed)
        if settings.tls is not None:
            inputs["certificate_file"] = str(Path(settings.tls.certificate_file).resolve())
            inputs["key_file"] = str(Path(settings.tls.key_file).resolve())
        door = args.deployment.front_door(
            f"{name}-front-door", inputs, pulumi.ResourceOptions(parent=self, depends_on=[args.deployment])
        )
        scripted = settings.entry_script is not None
        scheme, host = "https" if settings.tls else "http", certificate_host(settings)
        self.local_url = f"{scheme}://{loopback_host()}:{deployment.port}"
        self.url = f"{scheme}://{'localhost' if '*' in host else host or loopback_host()}:{deployment.port}"
        self.scoring_uri = f"{self.url}/score" if scripted else self.url
        self.swagger_uri = f"{self.url}/swagger.json" if scripted else None
        self.triton_uri = args.deployment.shape.apply(lambda shape: self.url if "triton" in shape else None)
        address = self.url.partition("://")[2]
        self.grpc_uri = args.deployment.shape.apply(lambda shape: address if "triton" in shape else None)
        self.metrics_uri = pulumi.Output.format("http://{0}:{1}/metrics", loopback_host(), door.metrics_port)
        self.state = pulumi.Output.all(args.deployment.state, door.state).apply(lambda states: overall(*states))
        self.register_outputs({"url": self.url, "metricsUri": self.metrics_uri, "state": self.state})
