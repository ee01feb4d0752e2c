"""NodePoolSmokeCheck: the check of a service on a node pool, through its front door."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.model_bundle import ModelBundle
from components.node_pool_deployment import NodePoolDeployment
from components.node_pool_gateway import NodePoolGateway
from components.smoke_check import questions, server_name
from provider.resources.node_pool_check import NodePoolCheck
from settings.schema import Settings
from targets.node_pool.lifecycle import Times
from targets.node_pool.object_names import FRONT_DOOR_PORT, Names
from targets.node_pool.objects.exposure import scheme

__all__ = ["NodePoolSmokeCheck", "NodePoolSmokeCheckArgs"]


@dataclass(frozen=True)
class NodePoolSmokeCheckArgs:
    """A stack's settings and the deployed parts of the service."""

    settings: Settings
    bundles: Sequence[ModelBundle]
    keys: AccessKeys
    deployment: NodePoolDeployment
    gateway: NodePoolGateway


class NodePoolSmokeCheck(pulumi.ComponentResource):
    """The same check as `SmokeCheck` makes, after the rollout, with the key.

    It asks a public load balancer where there is one and it lets this machine in. Everything else it reaches by
    port-forward to Envoy: inside the cluster there is no other way, and the names that an Ingress or a route answers to
    are nobody's business here.
    """

    def __init__(self, name: str, args: NodePoolSmokeCheckArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:NodePoolSmokeCheck", name, None, opts)
        settings, options = args.settings, args.deployment.options
        names, times = Names.of(options), Times.of(options)
        inputs: dict[str, Any] = {
            **args.deployment.where,
            "service": names.service,
            "container_port": FRONT_DOOR_PORT,
            "scheme": scheme(options),
            "address": args.gateway.address if options.pool.exposure.reached_by_address else "",
            "sleeps": options.sleeps,
            "server_name": _server_name(settings),
            "patience_seconds": times.progress,
            **questions(settings, args.bundles, args.keys),
            # What is behind the front door: another generation is another reason to ask.
            "generation": args.deployment.generation,
        }
        opts = pulumi.ResourceOptions(parent=self, depends_on=[args.gateway, args.deployment])
        check = NodePoolCheck(f"{name}-run", inputs, opts)
        self.register_outputs({"checks": check.checks})


def _server_name(settings: Settings) -> str:
    """The host that a client names: what is exposed, or what the certificate is for."""
    if settings.tls is not None and settings.node_pool.exposure.host:
        return settings.node_pool.exposure.host
    return server_name(settings)
