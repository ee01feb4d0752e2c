"""The front door of a service on a Kubernetes node pool: its objects, their rollout and its address."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pulumi

from components.access_keys import AccessKeys
from components.deployment import FrontDoor
from components.node_pool_objects import ObjectSet, digest
from gateway import envoy_files
from gateway.keys import Keys
from gateway.listener import KEYS_FILE
from provider.resources.node_pool_address import NodePoolAddress
from provider.resources.node_pool_rollout import NodePoolRollout
from settings.clients import door_clients
from targets.node_pool.addresses import grpc_uri, metrics_uri, port_forward_command, public_url
from targets.node_pool.lifecycle import Times
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import FRONT_DOOR, Names
from targets.node_pool.objects.every_object import objects_of
from targets.node_pool.objects.front_door_pods import STARTUP_SECONDS
from targets.node_pool.objects.gateway_files import gateway_files
from targets.node_pool.rendering import Contents, Options
from targets.state import State, overall

__all__ = ["Replicas", "declare_front_door"]


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """What is behind the front door.

    Attributes:
        deployment: The component that declares it.
        options: What is rendered.
        provider: Reaches the cluster.
        where: The place of the service, as the provider's resources take it.
    """

    deployment: pulumi.Resource
    options: Options
    provider: pulumi.ProviderResource
    where: Mapping[str, Any]


def declare_front_door(name: str, behind: Replicas, keys: AccessKeys, gateway: pulumi.Resource) -> FrontDoor:
    """Declare Envoy in pods of its own, and how clients reach it: inside, by load balancer, Ingress or Gateway API.

    The outputs have the command that leads to a front door of the cluster's own from one's machine.
    """
    options = replace(behind.options, contents=_contents(behind.options, keys))
    rollout = _declare(name, options, behind, gateway)
    way = _way_in(name, options, behind, rollout, gateway)
    address = way.address if way else pulumi.Output.from_input("")
    found = pulumi.Output.all(rollout.state, way.problem if way else "")
    inside = options.pool.exposure.kind == "cluster"
    return FrontDoor(
        state=found.apply(lambda both: overall(both[0], State.UNHEALTHY if both[1] else State.HEALTHY)),
        url=address.apply(lambda known: public_url(options, known)),
        address=address.apply(lambda known: grpc_uri(options, known)),
        metrics_uri=pulumi.Output.from_input(metrics_uri(options)),
        own_address=address,
        outputs={"portForward": port_forward_command(options) if inside else None},
    )


def _declare(name: str, options: Options, behind: Replicas, gateway: pulumi.Resource) -> NodePoolRollout:
    """Declare the objects, and the rollout of Envoy's pods."""
    declared = ObjectSet(name, options, behind.provider, gateway)
    made: dict[tuple[str, str], Any] = {}
    for manifest in objects_of(FRONT_DOOR, options):
        # The replicas first: where they fail, the front door stays as it is.
        needed = [found for (kind, _), found in made.items() if kind in ("ConfigMap", "Secret", "Deployment")]
        made[manifest["kind"], manifest["metadata"]["name"]] = declared.declare(
            manifest, depends_on=[behind.deployment, *needed]
        )
        if manifest["kind"] == "Deployment":
            generation = digest(manifest)
    inputs: dict[str, Any] = {
        **behind.where,
        "deployment": Names.of(options).front_door,
        "generation": generation,
        "provision_seconds": Times.of(options).provision,
        "startup_seconds": STARTUP_SECONDS,
        "grace_seconds": 0,  # an Envoy that ends has left its Service, and keeps no new one waiting
        "needs": Needs.of(FRONT_DOOR, options.settings).model_dump(),
    }
    opts = pulumi.ResourceOptions(parent=gateway, depends_on=list(made.values()))
    return NodePoolRollout(f"{name}-rollout", inputs, opts)


def _way_in(
    name: str,
    options: Options,
    behind: Replicas,
    rollout: NodePoolRollout,
    gateway: pulumi.Resource,
) -> NodePoolAddress | None:
    """Declare the wait for what leads in from outside; None where only the cluster's own pods come."""
    exposure = options.pool.exposure
    if exposure.kind == "cluster":
        return None
    inputs = {
        **behind.where,
        "exposure": exposure.kind,
        "service": Names.of(options).service,
        "seconds": exposure.address_seconds,
    }
    opts = pulumi.ResourceOptions(parent=gateway, depends_on=[rollout])
    return NodePoolAddress(f"{name}-address", inputs, opts)


def _contents(options: Options, access: AccessKeys) -> Contents:
    clients = door_clients(options.settings.clients)
    found: pulumi.Output[Any] = pulumi.Output.all(own=[access.primary, access.secondary], clients=access.by_client)

    def rendered(known: dict[str, Any]) -> str:
        by_client = {name: Keys(**pair) for name, pair in known["clients"].items()}
        return envoy_files.render_keys(Keys(*known["own"]), clients, by_client)[KEYS_FILE]

    keys = found.apply(rendered)
    tls = options.settings.tls
    certificate = Path(tls.certificate_file).read_text() if tls else ""
    certificate_key = pulumi.Output.secret(Path(tls.key_file).read_text() if tls else "")
    fixed = json.dumps([gateway_files(options), certificate], sort_keys=True)
    return replace(
        options.contents,
        primary_key=access.primary,
        secondary_key=access.secondary,
        gateway_keys=keys,
        # The keys' part is made so that nobody finds a key by it: see `gateway.envoy_files`.
        gateway_version=pulumi.Output.unsecret(keys.apply(lambda text: _version(fixed + envoy_files.version(text)))),
        certificate=certificate,
        certificate_key=certificate_key,
    )


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
