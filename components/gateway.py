"""Gateway: the front door of a service."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.deployment import Deployment, FrontDoor
from settings.schema import Settings
from targets.role import Role
from targets.state import overall

__all__ = ["Gateway", "GatewayArgs"]


@dataclass(frozen=True)
class GatewayArgs:
    """A stack's settings, the keys, and what is behind the door."""

    settings: Settings
    _: KW_ONLY
    keys: AccessKeys
    deployment: Deployment


class Gateway(pulumi.ComponentResource):
    """Envoy in front of a deployment: keys, routes, limits, TLS.

    Attributes:
        door: Envoy, as the target has it.
        url: The base URI for clients.
        scoring_uri: Where clients send requests: `/score`, or the base URI where Triton serves without a script.
        triton_uri: The base URI for `/v2`; None where Triton does not serve.
        grpc_uri: A host and a port, as Triton's gRPC clients take them; None where Triton does not serve.
        swagger_uri: The script's description; None without one.
        metrics_uri: Where all metrics are.
        state: Measured, of the door and of what is behind it.
        outputs: All of these by their names among the stack's outputs, and what the target adds.
    """

    door: FrontDoor
    url: pulumi.Output[str]
    scoring_uri: pulumi.Output[str]
    triton_uri: pulumi.Output[str | None]
    grpc_uri: pulumi.Output[str | None]
    swagger_uri: pulumi.Output[str] | None
    metrics_uri: pulumi.Output[str]
    state: pulumi.Output[str]
    outputs: Mapping[str, Any]

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:Gateway", name, None, opts)
        deployment, scripted = args.deployment, args.settings.entry_script is not None
        self.door = door = deployment.front_door(name, args.keys, self)
        self.url, self.metrics_uri = door.url, door.metrics_uri
        self.scoring_uri = pulumi.Output.concat(door.url, "/score") if scripted else door.url
        self.swagger_uri = pulumi.Output.concat(door.url, "/swagger.json") if scripted else None
        self.triton_uri = pulumi.Output.all(deployment.shape, door.url).apply(_where_triton_serves)
        self.grpc_uri = pulumi.Output.all(deployment.shape, door.address).apply(_where_triton_serves)
        self.state = pulumi.Output.all(deployment.state, door.state).apply(lambda states: overall(*states))
        self.outputs = {
            "scoringUri": self.scoring_uri,
            "tritonUri": self.triton_uri,
            "grpcUri": self.grpc_uri,
            "swaggerUri": self.swagger_uri,
            "metricsUri": self.metrics_uri,
            "state": self.state,
            **door.outputs,
        }
        self.register_outputs({"url": self.url, "metricsUri": self.metrics_uri, "state": self.state})


def _where_triton_serves(of: list[Any]) -> str | None:
    shape, address = of
    return address if Role.TRITON.value in shape else None
