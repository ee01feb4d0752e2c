"""Watching a Deployment's rollout: until its replicas are ready, or until it is clear that they will not be."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from common.errors import UserError
from common.waiting import Cancelled, shielded, wait_until
from targets.node_pool.cluster.cluster_client import Cluster, ClusterError
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

    Raises `RolloutError` when the time is over, and at once when waiting is of no use; `ClusterError`. Where
    somebody cancels, the old one is started again too.
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
    """Wait until the new replicas are complete and, where the rollout has a grace, until the old ones have ended."""
    looked = _Look(cluster, rollout, say)
    try:
        wait_until(looked.is_complete, seconds=math.inf, every=_POLL_SECONDS)
    except Cancelled:
        with shielded():
            looked.leave()
        raise
    if rollout.grace:
        _await_old_ones(cluster, rollout, looked.deployment, say)


@dataclass
class _Look:
    """How far a rollout has come, looked at again and again; `is_complete` raises `RolloutError` where it failed."""

    cluster: Cluster
    rollout: Rollout
    say: Callable[[str], None]
    deployment: Manifest = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    progressed: float = field(default_factory=time.monotonic)
    said: str = ""
    most_ready: int = -1

    def is_complete(self) -> bool:
        """Look once, and tell what changed."""
        cluster, rollout = self.cluster, self.rollout
        deployment = cluster.get("deployments", rollout.namespace, rollout.name)
        if deployment is None:
            raise RolloutError(
                f"there is no Deployment {rollout.name} in the namespace {rollout.namespace}; the stack's state still "
                "has what was deleted: refresh it (make refresh), and the next up makes it anew"
            )
        self.deployment = deployment
        if is_complete(deployment, rollout.needs):
            remember(cluster, deployment)
            return True
        # A pod that ends belongs to an attempt before this one: its troubles are told, and its log goes with it.
        pods = [pod for pod in new_pods(cluster, deployment) if "deletionTimestamp" not in pod["metadata"]]
        ready = sum(map(is_ready, pods))
        if ready > self.most_ready:
            self.most_ready, self.progressed = ready, time.monotonic()
        found = [t for pod in pods if not is_ready(pod) for t in pod_troubles(cluster, pod)] + refusals(deployment)
        wanted = deployment["spec"].get("replicas", 1)
        line = f"{ready} of {wanted} new replicas of {rollout.name} are ready" + (f"; {found[0]}" if found else "")
        if line != self.said:
            self.say(line)
            self.said = line
        scheduled = any(pod["spec"].get("nodeName") for pod in pods if not is_ready(pod))
        budget = rollout.provision + (rollout.startup if scheduled else 0)
        if any(trouble.final for trouble in found) or time.monotonic() - self.progressed > budget:
            told = report(cluster, deployment, pods, found, time.monotonic() - self.started)
            raise RolloutError("\n".join(_fallen_back(cluster, deployment, told)))
        return False

    def leave(self) -> None:
        """Have the old version serve where it had to stop, because nobody waits for the new one any more."""
        rollout = self.rollout
        try:
            now = self.cluster.get("deployments", rollout.namespace, rollout.name)
            if now is not None and not is_complete(now, rollout.needs) and fall_back(self.cluster, now):
                self.say(f"cancelled: the version of before of {rollout.name} starts again")
        except ClusterError as error:
            self.say(f"cancelled: the version of before of {rollout.name} is not started again: {error}")


def _fallen_back(cluster: Cluster, deployment: Manifest, told: list[str]) -> list[str]:
    """Report a failure, once the version of before was started again where it had to stop."""
    try:
        if not fall_back(cluster, deployment):
            return told
    except ClusterError as error:
        return [*told, f"  the version of before is not started again: {error}"]
    return [told[0].replace(NONE_SERVES, "the version of before starts again"), *told[1:]]


def _await_old_ones(cluster: Cluster, rollout: Rollout, deployment: Manifest, say: Callable[[str], None]) -> None:
    old = 0
    said = False

    def have_ended() -> bool:
        nonlocal old, said
        old = len(all_pods(cluster, deployment)) - len(new_pods(cluster, deployment))
        if old and not said:
            say(f"the new replicas are ready; {old} old ones finish what they have")
            said = True
        return not old

    if not wait_until(have_ended, seconds=rollout.grace, every=_POLL_SECONDS):
        say(f"{old} old replicas have not ended after {rollout.grace} s; kubectl describe pods says why")


def await_gone(cluster: Cluster, namespace: str, name: str, labels: dict[str, str], seconds: float) -> bool:
    """Whether the pods with these labels end within `seconds` after their Deployment was deleted.

    A Deployment that nobody deletes is another stack's, and its pods are no concern of this one.
    """

    def have_gone() -> bool:
        if not cluster.select("pods", namespace, labels):
            return True
        deployment = cluster.get("deployments", namespace, name)
        return deployment is not None and "deletionTimestamp" not in deployment["metadata"]

    return wait_until(have_gone, seconds=seconds, every=_POLL_SECONDS)
