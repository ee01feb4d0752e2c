"""Where a service on a node pool is: in every input of its resources."""

from common.part import Part
from targets.node_pool.cluster.client import Cluster
from targets.node_pool.cluster.identity import expected_cluster

__all__ = ["Place"]


class Place(Part):
    """A namespace of a cluster.

    Attributes:
        context: The kubeconfig's context, "" for the current one.
        cluster: The cluster's identity as the stack knows it (`targets.node_pool.cluster.identity`).
        namespace: The namespace.
        owner: The stack.
    """

    context: str
    cluster: dict[str, str] | None = None
    namespace: str
    owner: str = ""

    def open(self) -> Cluster:
        """Reach the cluster.

        Raises:
            ClusterError: The kubeconfig leads to another one now.
        """
        return expected_cluster(self.context, self.cluster)
