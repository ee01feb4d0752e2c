"""Where a service on a node pool is: in every input of its resources."""

from pydantic import SecretStr

from common.part import Part
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.identity import expected_cluster
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from targets.node_pool.cluster.plugin_copies import remove_as_they_appear

__all__ = ["CREDENTIAL", "Access", "Place"]

CREDENTIAL = frozenset({"kubeconfig", "source"})
"""A renewed credential of the same cluster changes nothing there: the state takes it, and nothing else happens."""


class Access(Part):
    """The way to a cluster.

    Attributes:
        context: The kubeconfig's context, "" for the current one.
        kubeconfig: The kubeconfig's text; without one it is this machine's own.
        source: Where that text is from, in words for people.
    """

    context: str
    kubeconfig: SecretStr | None = None
    source: str = ""

    def credential(self) -> Kubeconfig | None:
        """Give the kubeconfig; None for this machine's own."""
        if self.kubeconfig is None:
            return None
        remove_as_they_appear()
        return Kubeconfig(self.kubeconfig.get_secret_value(), self.source or "the input 'kubeconfig'")


class Place(Access):
    """A namespace of a cluster.

    Attributes:
        cluster: The cluster's identity as the stack knows it (`targets.node_pool.cluster.identity`).
        namespace: The namespace.
        owner: The stack.
    """

    cluster: dict[str, str] | None = None
    namespace: str
    owner: str = ""

    def open(self) -> Cluster:
        """Reach the cluster.

        Raises:
            ClusterError: The kubeconfig leads to another one now.
        """
        return expected_cluster(self.context, self.cluster, self.credential())
