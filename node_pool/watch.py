"""Watching a Deployment's rollout: until its replicas are ready, or until it is clear that they will not be."""

import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from node_pool.addresses import kubectl
from node_pool.cluster import Cluster, ClusterError
from node_pool.diagnosis import (
    Trouble,
    event_lines,
    failed_loads,
    is_ready,
    is_running,
    is_unscheduled,
    node_lines,
    refusals,
    troubles,
)
from node_pool.fallback import REVISION, fall_back, is_fallen_back, remember, resume
from node_pool.options import Manifest
from node_pool.sleep import awake

__all__ = ["Rollout", "RolloutError", "await_gone", "await_rollout", "measure"]

_POLL_SECONDS = 2.0
_LOG_LINES = 40
_SEARCHED_LINES = 1000
_NONE_SERVES = "no replica serves"
_TRACEBACK = "Traceback (most recent call last)"


class RolloutError(Exception):
    """New replicas that did not become ready: why, the pods' events and the ends of their containers' logs."""


@dataclass(frozen=True)
class Rollout:
    """The Deployment that is rolled out, and its replicas' times: for a node to appear, to start, and to end.

    `grace` 0: the old ones' end is not awaited. `sleeps`: KEDA scales it to zero.
    """

    namespace: str
    name: str
    provision: int
    startup: int
    grace: int
    sleeps: bool = False


def await_rollout(cluster: Cluster, rollout: Rollout, say: Callable[[str], None]) -> None:
    """Wait until every replica is of the newest kind and ready, and the others have ended: until then they answer too.

    Each replica that becomes ready starts the time anew. A service that sleeps is woken for it. Where the new version
    fails after the old one had to stop for it, the old one is started again.

    Raises `RolloutError` when the time is over, and at once when waiting is of no use; `ClusterError`.
    """
    deployment = cluster.get("deployments", rollout.namespace, rollout.name)
    if deployment is not None:
        resume(cluster, deployment)
    with awake(cluster, rollout.namespace, rollout.name) if rollout.sleeps else nullcontext():
        _await_new_ones(cluster, rollout, say)


def _await_new_ones(cluster: Cluster, rollout: Rollout, say: Callable[[str], None]) -> None:
    started = progressed = time.monotonic()
    said = ""
    most = -1
    while True:
        deployment = cluster.get("deployments", rollout.namespace, rollout.name)
        if deployment is None:
            raise RolloutError(f"there is no Deployment {rollout.name} in the namespace {rollout.namespace}")
        if _is_complete(deployment):
            remember(cluster, deployment)
            if rollout.grace:
                _await_old_ones(cluster, rollout, deployment, say)
            return
        pods = _new_pods(cluster, deployment)
        ready = sum(map(is_ready, pods))
        if ready > most:
            most, progressed = ready, time.monotonic()
        found = [t for pod in pods if not is_ready(pod) for t in _troubles(cluster, pod)] + refusals(deployment)
        line = f"{ready} of {_wanted(deployment)} new replicas of {rollout.name} are ready" + (
            f"; {found[0]}" if found else ""
        )
        if line != said:
            say(line)
            said = line
        scheduled = any(pod["spec"].get("nodeName") for pod in pods if not is_ready(pod))
        budget = rollout.provision + (rollout.startup if scheduled else 0)
        if any(trouble.final for trouble in found) or time.monotonic() - progressed > budget:
            report = _report(cluster, rollout, deployment, pods, found, time.monotonic() - started)
            raise RolloutError("\n".join(_fallen_back(cluster, deployment, report)))
        time.sleep(_POLL_SECONDS)


def _fallen_back(cluster: Cluster, deployment: Manifest, report: list[str]) -> list[str]:
    """The report of a failure, once the version of before was started again where it had to stop."""
    try:
        if not fall_back(cluster, deployment):
            return report
    except ClusterError as error:
        return [*report, f"  the version of before is not started again: {error}"]
    return [report[0].replace(_NONE_SERVES, "the version of before starts again"), *report[1:]]


def _await_old_ones(cluster: Cluster, rollout: Rollout, deployment: Manifest, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + rollout.grace
    said = False
    while old := len(_all_pods(cluster, deployment)) - len(_new_pods(cluster, deployment)):
        if not said:
            say(f"the new replicas are ready; {old} old ones finish what they have")
            said = True
        if time.monotonic() > deadline:
            say(f"{old} old replicas have not ended after {rollout.grace} s; kubectl describe pods says why")
            return
        time.sleep(_POLL_SECONDS)


def await_gone(cluster: Cluster, namespace: str, name: str, labels: dict[str, str], seconds: float) -> bool:
    """Whether the pods with these labels end within `seconds` after their Deployment was deleted.

    A Deployment that nobody deletes is another stack's, and its pods are no concern of this one.
    """
    deadline = time.monotonic() + seconds
    while cluster.select("pods", namespace, labels):
        deployment = cluster.get("deployments", namespace, name)
        if deployment is not None and "deletionTimestamp" not in deployment["metadata"]:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def measure(cluster: Cluster, namespace: str, name: str) -> tuple[str, list[str]]:
    """A Deployment's state (`Healthy`, `Unhealthy` or `Stopped`), and what is wrong with its pods."""
    deployment = cluster.get("deployments", namespace, name)
    if deployment is None:
        return "Stopped", [f"there is no Deployment {name} in the namespace {namespace}"]
    # One that failed as a whole, evicted say, stays in the list and has been replaced.
    pods = [pod for pod in _new_pods(cluster, deployment) if pod.get("status", {}).get("phase") != "Failed"]
    found = [str(trouble) for pod in pods if not is_ready(pod) for trouble in _troubles(cluster, pod)]
    if _is_complete(deployment) and not found:
        return "Healthy", []
    if is_fallen_back(deployment):
        return "Unhealthy", ["the new version did not start, and the one before it serves; up tries the new one again"]
    return "Unhealthy", found or [f"{sum(map(is_ready, pods))} of {_wanted(deployment)} replicas are ready"]


def _is_complete(deployment: Manifest) -> bool:
    status, wanted = deployment.get("status", {}), _wanted(deployment)
    counts = [status.get(count, 0) for count in ("replicas", "updatedReplicas", "availableReplicas")]
    if is_fallen_back(deployment):
        return False
    observed = bool(status.get("observedGeneration", 0) >= deployment["metadata"]["generation"])
    return observed and all(count == wanted for count in counts)


def _wanted(deployment: Manifest) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _new_pods(cluster: Cluster, deployment: Manifest) -> list[Manifest]:
    """The pods of the Deployment's newest template."""
    namespace, labels = deployment["metadata"]["namespace"], deployment["spec"]["selector"]["matchLabels"]
    revision = deployment["metadata"].get("annotations", {}).get(REVISION)
    for replica_set in cluster.select("replicasets", namespace, labels):
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision:
            return cluster.select("pods", namespace, replica_set["spec"]["selector"]["matchLabels"])
    return []


def _all_pods(cluster: Cluster, deployment: Manifest) -> list[Manifest]:
    return cluster.select("pods", deployment["metadata"]["namespace"], deployment["spec"]["selector"]["matchLabels"])


def _troubles(cluster: Cluster, pod: Manifest) -> list[Trouble]:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    found = troubles(pod, cluster.events(namespace, name))
    if any(trouble.final for trouble in found) or not is_running(pod, "triton"):
        return found
    return [*failed_loads(pod, cluster.logs(namespace, name, "triton", lines=_SEARCHED_LINES)), *found]


def _report(
    cluster: Cluster, rollout: Rollout, deployment: Manifest, pods: list[Manifest], found: list[Trouble], waited: float
) -> list[str]:
    new = {pod["metadata"]["name"] for pod in pods}
    serving = sum(is_ready(pod) for pod in _all_pods(cluster, deployment) if pod["metadata"]["name"] not in new)
    left = {0: _NONE_SERVES, 1: "the old replica goes on serving"}.get(serving, f"{serving} old replicas go on serving")
    if serving == 0 and (ready := sum(map(is_ready, pods))):
        left = f"{ready} of them serve"
    lines = [f"the new replicas of {rollout.name} are not ready after {waited:.0f} s; {left}"]
    # What cannot mend itself tells most; of a container that ended, the log of the run that did, not of the next one.
    found = sorted(found, key=lambda trouble: not trouble.final)
    lines += [f"  {trouble}" for trouble in found]
    lines += _nodes_of([pod for pod in pods if is_unscheduled(pod)], cluster)
    for pod in pods:
        if is_ready(pod):
            continue
        name = pod["metadata"]["name"]
        lines.append(f"  events of pod {name}:")
        lines += [f"    {line}" for line in event_lines(cluster.events(rollout.namespace, name))]
    for trouble in found:
        if trouble.container:
            end = _end_of(cluster.logs(rollout.namespace, trouble.pod, trouble.container, previous=trouble.ended))
            lines += [
                f"  end of the log of {trouble.container} in pod {trouble.pod}:",
                *(f"    {line}" for line in end),
            ]
            break
    for name in [pod["metadata"]["name"] for pod in pods if not is_ready(pod)][:1]:
        command = [*kubectl(cluster.context, rollout.namespace), "logs", f"pod/{name}", "--all-containers"]
        lines.append(f"  all of it: {shlex.join(command)}")
    return lines


def _nodes_of(unscheduled: list[Manifest], cluster: Cluster) -> list[str]:
    """What the pool's nodes have against pods that found none; nothing where nodes may not be seen."""
    if not unscheduled:
        return []
    selector = unscheduled[0]["spec"].get("nodeSelector", {})
    nodes = cluster.nodes(selector)
    if nodes == []:
        return [f"  no node has the pool's label {' '.join(f'{key}={value}' for key, value in selector.items())}"]
    return [f"  {line}" for line in node_lines(unscheduled[0], nodes or [])]


def _end_of(log: list[str]) -> list[str]:
    """The last traceback in a log, or its last lines where there is none."""
    starts = [index for index, line in enumerate(log) if _TRACEBACK in line]
    return log[starts[-1] :][:_LOG_LINES] if starts else log[-_LOG_LINES:]
