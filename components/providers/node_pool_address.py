"""The address at which a front door on a node pool is reached from outside, which the cluster's controllers give."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.providers.base import Provider, say
from components.providers.node_pool_cluster import cluster_of
from targets.node_pool.cluster.way_in import WayIn, await_way_in

__all__ = ["NodePoolAddress"]


class NodePoolAddressProvider(Provider):
    """Waits for a load balancer, an Ingress's controller or a Gateway; what was interrupted is awaited anew."""

    outputs = frozenset({"address", "problem"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=f"{props['namespace']}/{props['service']}", outs=_await(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_await(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        found = _measure(props)
        if found.problem:
            say(found.problem)
        return ReadResult(id_, {**props, "address": found.address, "problem": found.problem})

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        found = _measure(outputs)
        return bool(found.problem) or found.address != outputs.get("address")


def _measure(props: Mapping[str, Any]) -> WayIn:
    cluster = cluster_of(props)
    return WayIn.measure(cluster, props["exposure"], props["namespace"], props["service"])


def _await(props: dict[str, Any]) -> dict[str, Any]:
    cluster = cluster_of(props)
    where = props["exposure"], props["namespace"], props["service"]
    way = await_way_in(cluster, *where, int(props["seconds"]), say)
    return {**props, "address": way.address, "problem": ""}


class NodePoolAddress(Resource, module="triton", name="NodePoolAddress"):
    """A way in from outside that is there; `address` is a load balancer's own, "" where the controller gives none."""

    address: pulumi.Output[str]
    problem: pulumi.Output[str]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = NodePoolAddressProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
