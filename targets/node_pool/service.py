"""The state of a component in the cluster: its replicas, and what clients reach them by."""

from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from common.waiting import wait_until
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.diagnosis import condition, is_ready
from targets.node_pool.cluster.fallback import is_fallen_back
from targets.node_pool.cluster.replicas import all_pods, is_complete, new_pods, pod_troubles
from targets.node_pool.needs import HPA, Needs
from targets.node_pool.rendering import Manifest
from targets.node_pool.rollout import RolloutError
from targets.state import State

__all__ = ["await_measured", "measure"]

_SETTLING_SECONDS = 180  # for a new autoscaler to get its first metrics
_POLL_SECONDS = 1.0
_NONE = "there is no"
_ENDPOINT_SECONDS = 30.0  # for a Service to know pods that became ready


def measure(cluster: Cluster, namespace: str, name: str, needs: Needs) -> tuple[State, list[str]]:
    """Measure a component's state, and say what is wrong with it.

    `needs` are the declaration's: a Deployment that somebody scaled to nothing is not what was wanted.
    """
    deployment = cluster.get("deployments", namespace, name)
    if deployment is None:
        return State.STOPPED, [f"there is no Deployment {name} in the namespace {namespace}"]
    problems = [*_of_replicas(cluster, deployment, needs), *_of_traffic(cluster, deployment, needs)]
    return State.of(problems), problems


def await_measured(
    cluster: Cluster, namespace: str, name: str, needs: Needs, say: Callable[[str], None]
) -> tuple[State, list[str]]:
    """Measure the state once replicas are ready, when Services had the time to know them.

    Raises `RolloutError` for what Kubernetes does not mend: an object that the declaration has and the cluster has not.
    """
    state = State.STOPPED
    problems: list[str] = []

    def is_healthy() -> bool:
        nonlocal state, problems
        state, problems = measure(cluster, namespace, name, needs)
        missing = [problem for problem in problems if problem.startswith(_NONE)]
        if missing:
            raise RolloutError(
                f"{name} gets no traffic: {'; '.join(missing)}; the stack's state still has what was deleted: "
                "refresh it (make refresh), and the next up makes it anew"
            )
        return state is State.HEALTHY

    wait_until(is_healthy, seconds=_ENDPOINT_SECONDS, every=_POLL_SECONDS)
    for problem in problems:
        say(f"{name} is {state}: {problem}")
    return state, problems


def _of_replicas(cluster: Cluster, deployment: Manifest, needs: Needs) -> Iterator[str]:
    if is_fallen_back(deployment):
        new = {pod["metadata"]["name"] for pod in new_pods(cluster, deployment)}
        old = [pod for pod in all_pods(cluster, deployment) if pod["metadata"]["name"] not in new]
        serving = "serves" if any(map(is_ready, old)) else "is not ready yet either"
        yield f"the new version did not start, and the one before it {serving}; up tries the new one again"
        yield from (str(t) for pod in old if not is_ready(pod) for t in pod_troubles(cluster, pod))
        return
    live = int(deployment["spec"].get("replicas", 1))
    if live != needs.wanted(live):
        declared = str(needs.least) if needs.least == needs.most else f"{needs.least} to {needs.most}"
        name = deployment["metadata"]["name"]
        yield f"the Deployment {name} is scaled to {live}, declared are {declared}; up mends it"
        return
    # One that failed as a whole, evicted say, stays in the list and has been replaced.
    pods = [pod for pod in new_pods(cluster, deployment) if pod.get("status", {}).get("phase") != "Failed"]
    found = [str(trouble) for pod in pods if not is_ready(pod) for trouble in pod_troubles(cluster, pod)]
    if found or not is_complete(deployment, needs):
        yield from found or [f"{sum(map(is_ready, pods))} of {live} replicas are ready"]


def _of_traffic(cluster: Cluster, deployment: Manifest, needs: Needs) -> Iterator[str]:
    namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
    for service in needs.services:
        if cluster.get("services", namespace, service) is None:
            yield _missing("Service", service, namespace)
        elif int(deployment["spec"].get("replicas", 1)) and not _leads_somewhere(cluster, namespace, service):
            yield f"the Service {service} leads to no ready pod"
    for policy in needs.policies:
        if cluster.get("networkpolicies", namespace, policy) is None:
            yield _missing("NetworkPolicy", policy, namespace)
    if needs.autoscaler:
        yield from _of_autoscaler(cluster, namespace, name, needs.autoscaler)


def _leads_somewhere(cluster: Cluster, namespace: str, service: str) -> bool:
    slices = cluster.select("endpointslices", namespace, {"kubernetes.io/service-name": service})
    endpoints = [endpoint for found in slices for endpoint in found.get("endpoints") or ()]
    return any(endpoint.get("conditions", {}).get("ready", True) for endpoint in endpoints)


def _of_autoscaler(cluster: Cluster, namespace: str, name: str, kind: str) -> Iterator[str]:
    called, tells = ("HorizontalPodAutoscaler", "ScalingActive") if kind == HPA else ("ScaledObject", "Ready")
    found = cluster.get(kind, namespace, name)
    if found is None:
        yield _missing(called, name, namespace)
        return
    active = condition(found, tells)
    if (active is None or active["status"] != "True") and _age(found) > _SETTLING_SECONDS:
        why = f"{active.get('reason', '')}: {active.get('message', '')}" if active else "nothing acts on it"
        yield f"the {called} {name} does not scale: {why}"


def _missing(kind: str, name: str, namespace: str) -> str:
    return f"{_NONE} {kind} {name} in the namespace {namespace}"


def _age(manifest: Manifest) -> float:
    made = datetime.fromisoformat(str(manifest["metadata"]["creationTimestamp"]).replace("Z", "+00:00"))
    return (datetime.now(timezone.utc) - made).total_seconds()
