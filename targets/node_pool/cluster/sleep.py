"""A service that KEDA scales to zero, kept awake while somebody needs it: for a rollout's probe, and for the check."""

from collections.abc import Iterator
from contextlib import contextmanager

from targets.node_pool.cluster.cluster_client import Cluster

__all__ = ["awake"]

_SCALED_OBJECT = "scaledobjects.keda.sh"
_PAUSED = "autoscaling.keda.sh/paused-replicas"


@contextmanager
def awake(cluster: Cluster, namespace: str, name: str) -> Iterator[None]:
    """Hold one replica for the length of the block, where the service sleeps; one that does not is left alone."""
    deployment = cluster.get("deployments", namespace, name)
    if deployment is None or deployment["spec"].get("replicas", 1) > 0:
        yield
        return
    _pause(cluster, namespace, name, "1")
    try:
        cluster.patch("deployments", namespace, name, {"spec": {"replicas": 1}})
        yield
    finally:
        _pause(cluster, namespace, name, None)


def _pause(cluster: Cluster, namespace: str, name: str, replicas: str | None) -> None:
    cluster.patch(_SCALED_OBJECT, namespace, name, {"metadata": {"annotations": {_PAUSED: replicas}}})
