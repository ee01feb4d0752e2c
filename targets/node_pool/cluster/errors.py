"""What goes wrong between this machine and a cluster."""

from targets.errors import ServiceError

__all__ = ["ClusterError", "CredentialError"]


class ClusterError(ServiceError):
    """A cluster that cannot be asked: no kubeconfig, no such context, no answer, no permission."""


class CredentialError(ClusterError):
    """A kubeconfig that leads nowhere, or that the cluster refuses: more patience does not help."""
