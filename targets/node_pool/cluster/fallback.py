"""What follows a failed rollout that had to stop the old replicas first: the version of before starts again.

The Deployment is paused meanwhile. Its template stays the new one, so nothing that the stack declares was changed, the
new version still counts as not there, and the next rollout tries it again.
"""

from common.waiting import wait_until
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.rendering import Manifest

__all__ = ["REVISION", "fall_back", "is_fallen_back", "remember", "resume"]

REVISION = "deployment.kubernetes.io/revision"
# On the Deployment: which of its ReplicaSets passed the probe last.
_SERVED = "triton-serving/served"
_HASH = "pod-template-hash"
_OBSERVED_SECONDS = 30.0
_POLL_SECONDS = 0.5


def remember(cluster: Cluster, deployment: Manifest) -> None:
    """Note the version that serves, for when a later one does not start."""
    served = next((_hash(found) for found in _replica_sets(cluster, deployment) if _is_new(found, deployment)), None)
    if served and served != _annotation(deployment, _SERVED):
        _patch(cluster, deployment, {"metadata": {"annotations": {_SERVED: served}}})


def fall_back(cluster: Cluster, deployment: Manifest) -> bool:
    """Start the version that served before; whether there is one that the rollout had stopped."""
    if deployment["spec"].get("strategy", {}).get("type") != "Recreate":
        return False
    found = _replica_sets(cluster, deployment)
    new = next((one for one in found if _is_new(one, deployment)), None)
    old = next((one for one in found if _hash(one) == _annotation(deployment, _SERVED)), None)
    if new is None or old is None or old is new:
        return False
    _patch(cluster, deployment, {"spec": {"paused": True}})
    _await_observed(cluster, deployment)
    # In this order: with no replicas in either, Kubernetes would give them to the new one.
    for replica_set, replicas in ((old, deployment["spec"].get("replicas", 1)), (new, 0)):
        metadata = replica_set["metadata"]
        cluster.patch("replicasets", metadata["namespace"], metadata["name"], {"spec": {"replicas": replicas}})
    return True


def is_fallen_back(deployment: Manifest) -> bool:
    """Whether the version of before serves because the new one did not start."""
    return bool(deployment["spec"].get("paused"))


def resume(cluster: Cluster, deployment: Manifest) -> None:
    """Let the rollout of the Deployment's own template go on."""
    if is_fallen_back(deployment):
        _patch(cluster, deployment, {"spec": {"paused": False}})


def _await_observed(cluster: Cluster, deployment: Manifest) -> None:
    """Wait until Kubernetes knows that the Deployment is paused: before, it would stop the old replicas again."""
    metadata = deployment["metadata"]

    def is_observed() -> bool:
        now = cluster.get("deployments", metadata["namespace"], metadata["name"])
        return now is None or now["status"].get("observedGeneration", 0) >= now["metadata"]["generation"]

    wait_until(is_observed, seconds=_OBSERVED_SECONDS, every=_POLL_SECONDS)


def _replica_sets(cluster: Cluster, deployment: Manifest) -> list[Manifest]:
    labels = deployment["spec"]["selector"]["matchLabels"]
    return cluster.select("replicasets", deployment["metadata"]["namespace"], labels)


def _is_new(replica_set: Manifest, deployment: Manifest) -> bool:
    return _annotation(replica_set, REVISION) == _annotation(deployment, REVISION)


def _annotation(manifest: Manifest, name: str) -> str | None:
    value: str | None = manifest["metadata"].get("annotations", {}).get(name)
    return value


def _hash(replica_set: Manifest) -> str | None:
    value: str | None = replica_set["metadata"].get("labels", {}).get(_HASH)
    return value


def _patch(cluster: Cluster, deployment: Manifest, patch: Manifest) -> None:
    metadata = deployment["metadata"]
    cluster.patch("deployments", metadata["namespace"], metadata["name"], patch)
