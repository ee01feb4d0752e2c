"""A Deployment's pods, and whether they are all there."""

from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.diagnosis import Trouble, failed_loads, is_running, troubles
from targets.node_pool.cluster.fallback import REVISION, is_fallen_back
from targets.node_pool.needs import Needs
from targets.node_pool.rendering import Manifest
from targets.role import Role

__all__ = ["all_pods", "is_complete", "new_pods", "pod_troubles"]

_SEARCHED_LINES = 1000


def is_complete(deployment: Manifest, needs: Needs) -> bool:
    """Whether as many replicas as declared are there, ready and of the newest template, and no others."""
    status, replicas = deployment.get("status", {}), int(deployment["spec"].get("replicas", 1))
    counts = [status.get(count, 0) for count in ("replicas", "updatedReplicas", "availableReplicas")]
    if is_fallen_back(deployment) or replicas != needs.wanted(replicas):
        return False
    observed = bool(status.get("observedGeneration", 0) >= deployment["metadata"]["generation"])
    return observed and all(count == replicas for count in counts)


def new_pods(cluster: Cluster, deployment: Manifest) -> list[Manifest]:
    """List the pods of the Deployment's newest template."""
    namespace, labels = deployment["metadata"]["namespace"], deployment["spec"]["selector"]["matchLabels"]
    revision = deployment["metadata"].get("annotations", {}).get(REVISION)
    for replica_set in cluster.select("replicasets", namespace, labels):
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision:
            return cluster.select("pods", namespace, replica_set["spec"]["selector"]["matchLabels"])
    return []


def all_pods(cluster: Cluster, deployment: Manifest) -> list[Manifest]:
    """List the pods of all its templates."""
    return cluster.select("pods", deployment["metadata"]["namespace"], deployment["spec"]["selector"]["matchLabels"])


def pod_troubles(cluster: Cluster, pod: Manifest) -> list[Trouble]:
    """Say why a pod is not ready, from its status, its events and Triton's log."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    found = troubles(pod, cluster.events(namespace, name))
    if not is_running(pod, Role.TRITON):
        return found
    log = cluster.logs(namespace, name, Role.TRITON.value, lines=_SEARCHED_LINES)
    return [*failed_loads(pod, log, known=any(trouble.final for trouble in found)), *found]
