"""The cluster of a service on a node pool: the stack keeps its identity, and takes no other one for it."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from components.providers.base import Provider
from targets.node_pool.cluster.client import Cluster
from targets.node_pool.cluster.identity import Identity, expected_cluster, identity

__all__ = ["NodePoolCluster", "cluster_of"]


def cluster_of(props: Mapping[str, Any]) -> Cluster:
    """The cluster of a resource's inputs. Raises where the kubeconfig now leads to another one."""
    return expected_cluster(props["context"], props.get("cluster"))


class NodePoolClusterProvider(Provider):
    """Makes nothing. Every verb that meets it fails where the kubeconfig leads to another cluster."""

    outputs = frozenset({"identity"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        found = identity(expected_cluster(props["context"], None))
        return CreateResult(id_=found.uid, outs={**props, "identity": found.as_json()})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        found = identity(expected_cluster(_news["context"], _olds["identity"]))
        renamed = Identity(**_olds["identity"]) != found
        return DiffResult(changes=renamed or super().diff(_id, _olds, _news).changes, replaces=[])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs={**_news, "identity": _identity(_news["context"], _olds)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, {**props, "identity": _identity(props["context"], props)})


def _identity(context: str, known: dict[str, Any]) -> dict[str, str]:
    return identity(expected_cluster(context, known["identity"])).as_json()


class NodePoolCluster(Resource, module="triton", name="NodePoolCluster"):
    """The cluster of a kubeconfig's context; `identity` is its `uid`, with `context` and `server`."""

    identity: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = NodePoolClusterProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
