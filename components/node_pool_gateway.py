"""NodePoolGateway: the front door of a service on a Kubernetes node pool."""

import hashlib
import json
import shlex
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.node_pool_deployment import NodePoolDeployment
from components.node_pool_objects import ObjectSet, digest
from gateway import envoy_files
from gateway.keys import Keys
from gateway.listener import KEYS_FILE
from provider.resources.node_pool_address import NodePoolAddress
from provider.resources.node_pool_rollout import NodePoolRollout
from settings.schema import Settings
from targets.node_pool.addresses import grpc_uri, metrics_uri, port_forward_command, public_url
from targets.node_pool.lifecycle import Times
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import FRONT_DOOR, Names
from targets.node_pool.objects.every_object import objects_of
from targets.node_pool.objects.front_door import STARTUP_SECONDS
from targets.node_pool.objects.gateway_files import gateway_files
from targets.node_pool.rendering import Contents, Options
from targets.state import overall

__all__ = ["NodePoolGateway", "NodePoolGatewayArgs"]


@dataclass(frozen=True)
class NodePoolGatewayArgs:
    """A stack's settings, the keys, and the replicas behind the door."""

    settings: Settings
    _: KW_ONLY
    keys: AccessKeys
    deployment: NodePoolDeployment


class NodePoolGateway(pulumi.ComponentResource):
    """Envoy in pods of its own, and how clients reach it: in the cluster, by load balancer, Ingress or Gateway API.

    `url` is the base URI for clients; `scoring_uri` is `/score` on it, or itself where Triton serves without a script;
    `triton_uri` and `swagger_uri` are none where nobody answers there, and so is `grpc_uri`, a host and a port as
    Triton's gRPC clients take them. `address` is a load balancer's own, or "". `state` is measured, of the door and of
    the replicas behind it. `port_forward` is the command that leads to a front door of the cluster's own from one's
    machine.
    """

    url: pulumi.Output[str]
    address: pulumi.Output[str]
    scoring_uri: pulumi.Output[str]
    triton_uri: pulumi.Output[str] | None
    grpc_uri: pulumi.Output[str | None] | None
    swagger_uri: pulumi.Output[str] | None
    metrics_uri: str
    state: pulumi.Output[str]
    port_forward: str | None

    def __init__(self, name: str, args: NodePoolGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:NodePoolGateway", name, None, opts)
        options = replace(args.deployment.options, contents=_contents(args))
        rollout = self._declare(name, options, args.deployment)
        way = self._way_in(name, options, args.deployment, rollout)
        self.address = way.address if way else pulumi.Output.from_input("")
        self.url = self.address.apply(lambda address: public_url(options, address))
        self.scoring_uri = pulumi.Output.concat(self.url, "/score") if options.scorer else self.url
        self.swagger_uri = pulumi.Output.concat(self.url, "/swagger.json") if options.scorer else None
        self.triton_uri = self.url if options.triton else None
        self.grpc_uri = self.address.apply(lambda address: grpc_uri(options, address)) if options.triton else None
        self.metrics_uri = metrics_uri(options)
        found = pulumi.Output.all(args.deployment.state, rollout.state, way.problem if way else "")
        self.state = found.apply(lambda all_: overall(overall(*all_[:2]), "Unhealthy" if all_[2] else "Healthy"))
        self.port_forward = (
            shlex.join(port_forward_command(options)) if options.pool.exposure.kind == "cluster" else None
        )
        self.register_outputs({"url": self.url, "metricsUri": self.metrics_uri, "state": self.state})

    def _declare(self, name: str, options: Options, deployment: NodePoolDeployment) -> NodePoolRollout:
        """The objects, and the rollout of Envoy's pods."""
        declared = ObjectSet(name, options, deployment.provider, self)
        made: dict[tuple[str, str], Any] = {}
        for manifest in objects_of(FRONT_DOOR, options):
            # The replicas first: where they fail, the front door stays as it is.
            needed = [found for (kind, _), found in made.items() if kind in ("ConfigMap", "Secret", "Deployment")]
            made[manifest["kind"], manifest["metadata"]["name"]] = declared.declare(
                manifest, depends_on=[deployment, *needed]
            )
            if manifest["kind"] == "Deployment":
                generation = digest(manifest)
        inputs: dict[str, Any] = {
            **deployment.where,
            "deployment": Names.of(options).front_door,
            "generation": generation,
            "provision_seconds": Times.of(options).provision,
            "startup_seconds": STARTUP_SECONDS,
            "grace_seconds": 0,  # an Envoy that ends has left its Service, and keeps no new one waiting
            "needs": Needs.of(FRONT_DOOR, options.settings).model_dump(),
        }
        opts = pulumi.ResourceOptions(parent=self, depends_on=list(made.values()))
        return NodePoolRollout(f"{name}-rollout", inputs, opts)

    def _way_in(
        self, name: str, options: Options, deployment: NodePoolDeployment, rollout: NodePoolRollout
    ) -> NodePoolAddress | None:
        """What leads in from outside, awaited; none where only the cluster's own pods come."""
        exposure = options.pool.exposure
        if exposure.kind == "cluster":
            return None
        inputs = {
            **deployment.where,
            "exposure": exposure.kind,
            "service": Names.of(options).service,
            "seconds": exposure.address_seconds,
        }
        opts = pulumi.ResourceOptions(parent=self, depends_on=[rollout])
        return NodePoolAddress(f"{name}-address", inputs, opts)


def _contents(args: NodePoolGatewayArgs) -> Contents:
    settings, options = args.settings, args.deployment.options
    keys = pulumi.Output.all(args.keys.primary, args.keys.secondary).apply(
        lambda pair: envoy_files.render_keys(Keys(*pair))[KEYS_FILE]
    )
    tls = settings.tls
    certificate = Path(tls.certificate_file).read_text() if tls else ""
    certificate_key = pulumi.Output.secret(Path(tls.key_file).read_text() if tls else "")
    fixed = json.dumps([gateway_files(options), certificate], sort_keys=True)
    return replace(
        options.contents,
        primary_key=args.keys.primary,
        secondary_key=args.keys.secondary,
        gateway_keys=keys,
        # The keys' part is made so that nobody finds a key by it: see `gateway.envoy_files`.
        gateway_version=pulumi.Output.unsecret(keys.apply(lambda text: _version(fixed + envoy_files.version(text)))),
        certificate=certificate,
        certificate_key=certificate_key,
    )


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
