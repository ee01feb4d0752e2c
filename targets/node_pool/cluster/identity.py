"""Which cluster a stack's service is in: what a kubeconfig calls it changes hands, its identity does not."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from targets.node_pool.cluster.cluster_client import Cluster, ClusterError
from targets.node_pool.cluster.kubeconfig import Kubeconfig

__all__ = ["Identity", "expected_cluster", "identity", "known_cluster"]


@dataclass(frozen=True)
class Identity:
    """A cluster: the UID of its namespace `kube-system`, and the context and server by which it was found."""

    context: str
    server: str
    uid: str

    def __str__(self) -> str:
        return f"{self.uid} (context {self.context or 'none'}, {self.server})"

    def expect(self, found: "Identity") -> None:
        """Raise `ClusterError` where another cluster was found than this one, in which the service is."""
        if found.uid == self.uid:
            return
        raise ClusterError(
            f"the kubeconfig leads to another cluster than the one that this stack's service is in: expected {self}, "
            f"found {found}; choose the first (kubectl config use-context {self.context}, nodePool.context or "
            "nodePool.clusterStack), or deploy to the second by a stack of its own; where the first is gone for good, "
            "pulumi stack rm --force forgets it"
        )

    def as_json(self) -> dict[str, str]:
        """Give the identity as Pulumi's state and outputs have it."""
        return asdict(self)


def identity(cluster: Cluster) -> Identity:
    """Read the identity of a cluster."""
    found = cluster.get("namespaces", "", "kube-system")
    if found is None:
        raise ClusterError("the cluster shows no namespace kube-system, by whose UID it is known; ask for `get` on it")
    return Identity(cluster.context_name, cluster.server, found["metadata"]["uid"])


def known_cluster(output: str) -> dict[str, Any] | None:
    """Read the stack's output `cluster`, JSON; none where nothing is deployed."""
    known: dict[str, Any] | None = json.loads(output) if output else None
    return known


def expected_cluster(context: str, known: Mapping[str, Any] | None, kubeconfig: Kubeconfig | None = None) -> Cluster:
    """Reach the cluster of a context (`""`: the current one) of a kubeconfig, this machine's where none is given.

    Raises:
        ClusterError: It is not the `known` one.
    """
    cluster = Cluster(context, kubeconfig)
    if known:
        Identity(**known).expect(identity(cluster))
    return cluster
