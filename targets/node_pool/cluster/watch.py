"""Watching a Deployment's rollout: until its replicas are ready, or until it is clear that they will not be."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from common.errors import UserError
from targets.node_pool.cluster.client import Cluster, ClusterError
from targets.node_pool.cluster.diagnosis import is_ready, refusals
from targets.node_pool.cluster.failure import NONE_SERVES, report
from targets.node_pool.cluster.fallback import fall_back, remember, resume
from targets.node_pool.cluster.replicas import all_pods, is_complete, new_pods, pod_troubles
from targets.node_pool.cluster.sleep import awake
from targets.node_pool.needs import Needs
from targets.node_pool.rendering import Manifest

__all__ = ["Rollout", "RolloutError", "await_gone", "await_rollout"]

_POLL_SECONDS = 2.0


class RolloutError(UserError):
    """New replicas that did not become ready: why, the pods' events and the ends of their containers' logs."""


@dataclass(frozen=True)
class Rollout:
    """The Deployment that is rolled out, and its replicas' times: for a node to appear, to start, and to end.

    `grace` 0: the old ones' end is not awaited. `needs` says how many replicas were declared; none at the least: KEDA
    scales it to zero.
    """

    namespace: str
    name: str
    provision: int
    startup: int
    grace: int
    needs: Needs = field(default_factory=Needs)


def await_rollout(cluster: Cluster, rollout: Rollout, say: Callable[[str], None]) -> None:
    """Wait until every replica is of the newest kind and ready, and the others have ended: until then they answer too.

    Each replica that becomes ready starts the time anew. A service that sleeps is woken for it. Where the new version
    fails after the old one had to stop for it, the old one is started again.

    Raises `RolloutError` when the time is over, and at once when waiting is of no use; `ClusterError`.
    """
    deployment = cluster.get("deployments", rollout.namespace, rollout.name)
    if deployment is not None:
        resume(cluster, deployment)
        _scale_as_declared(cluster, rollout, deployment, say)
    with awake(cluster, rollout.namespace, rollout.name) if rollout.needs.least == 0 else nullcontext():
        _await_new_ones(cluster, rollout, say)


def _scale_as_declared(cluster: Cluster, rollout: Rollout, deployment: Manifest, say: Callable[[str], None]) -> None:
    """Give a Deployment its declared replicas back that somebody scaled otherwise: no autoscaler does it from zero."""
    live = int(deployment["spec"].get("replicas", 1))
    if (wanted := rollout.needs.wanted(live)) != live:
        say(f"{rollout.name} is scaled to {live}: back to {wanted}")
        cluster.patch("deployments", rollout.namespace, rollout.name, {"spec": {"replicas": wanted}})


def _await_new_ones(cluster: Cluster, rollout: Rollout, say: Callable[[str], None]) -> None:
    started = progressed = time.monotonic()
    said = ""
    most = -1
    while True:
        deployment = cluster.get("deployments", rollout.namespace, rollout.name)
        if deployment is None:
            raise RolloutError(
                f"there is no Deployment {rollout.name} in the namespace {rollout.namespace}; the stack's state still "
                "has what was deleted: refresh it (make refresh), and the next up makes it anew"
            )
        if is_complete(deployment, rollout.needs):
            remember(cluster, deployment)
            if rollout.grace:
                _await_old_ones(cluster, rollout, deployment, say)
            return
        pods = new_pods(cluster, deployment)
        ready = sum(map(is_ready, pods))
        if ready > most:
            most, progressed = ready, time.monotonic()
        found = [t for pod in pods if not is_ready(pod) for t in pod_troubles(cluster, pod)] + refusals(deployment)
        wanted = deployment["spec"].get("replicas", 1)
        line = f"{ready} of {wanted} new replicas of {rollout.name} are ready" + (f"; {found[0]}" if found else "")
        if line != said:
            say(line)
            said = line
        scheduled = any(pod["spec"].get("nodeName") for pod in pods if not is_ready(pod))
        budget = rollout.provision + (rollout.startup if scheduled else 0)
        if any(trouble.final for trouble in found) or time.monotonic() - progressed > budget:
            told = report(cluster, deployment, pods, found, time.monotonic() - started)
            raise RolloutError("\n".join(_fallen_back(cluster, deployment, told)))
        time.sleep(_POLL_SECONDS)


def _fallen_back(cluster: Cluster, deployment: Manifest, told: list[str]) -> list[str]:
    """The report of a failure, once the version of before was started again where it had to stop."""
    try:
        if not fall_back(cluster, deployment):
            return told
    except ClusterError as error:
        return [*told, f"  the version of before is not started again: {error}"]
    return [told[0].replace(NONE_SERVES, "the version of before starts again"), *told[1:]]


def _await_old_ones(cluster: Cluster, rollout: Rollout, deployment: Manifest, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + rollout.grace
    said = False
    while old := len(all_pods(cluster, deployment)) - len(new_pods(cluster, deployment)):
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
