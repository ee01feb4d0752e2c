"""What keeps a pod from becoming ready, read from its status and its events: pure, on Kubernetes' JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from bundle import triton_log
from serving.probing.marking import unmarked
from targets.node_pool.rendering import Manifest
from targets.role import Role

__all__ = [
    "Trouble",
    "condition",
    "event_lines",
    "failed_loads",
    "has_started",
    "is_ready",
    "is_running",
    "is_unscheduled",
    "node_lines",
    "obstacles",
    "refusals",
    "troubles",
]

# Reasons of a waiting container that may pass by themselves, a registry's hiccup say, and those that do not.
_PULLING = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError")
_PULL_ATTEMPTS = 3
_EVENT_LIMIT = 10
_NODE_LIMIT = 10


@dataclass(frozen=True)
class Trouble:
    """One reason why a pod is not ready; `final` when waiting longer cannot mend it.

    `container` is the one whose log says more, `ended` whether it is that of its last run before a restart.
    """

    pod: str
    text: str
    final: bool = False
    container: str = ""
    ended: bool = False

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.text}"


def is_ready(pod: Manifest) -> bool:
    """Whether a pod passed its probes and is not about to end."""
    ready = condition(pod, "Ready")
    return bool(ready and ready["status"] == "True" and "deletionTimestamp" not in pod["metadata"])


def is_unscheduled(pod: Manifest) -> bool:
    """Whether the scheduler has found no node for a pod."""
    return _refusal(pod) is not None


def troubles(pod: Manifest, events: Sequence[Manifest]) -> list[Trouble]:
    """Say why a pod is not ready, the telling things first; empty while it is just starting."""
    name = pod["metadata"]["name"]
    if (scheduled := _refusal(pod)) is not None:
        return [Trouble(name, f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}")]
    status = pod.get("status", {})
    found = []
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if not container.get("ready"):
            found += _of_container(name, container, events)
    return found


def has_started(pod: Manifest) -> bool:
    """Whether a container of a pod wrote a log: it runs, or it did."""
    status = pod.get("status", {})
    found = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = [state for one in found for state in (one.get("state", {}), one.get("lastState", {}))]
    return any("running" in state or "terminated" in state for state in states)


def is_running(pod: Manifest, container: str) -> bool:
    """Whether a container runs and is not ready yet."""
    status = pod.get("status", {})
    found = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return any(one["name"] == container and not one.get("ready") and "running" in one.get("state", {}) for one in found)


def failed_loads(pod: Manifest, log: Sequence[str], *, known: bool) -> list[Trouble]:
    """List the models that Triton gave up, from its log.

    The probe says it too, in an event; but Kubernetes drops those of a pod that had many, as one that loads for long.
    Where it is `known`, the log still tells why Triton refused a model unread, which the probe cannot know.
    """
    name = pod["metadata"]["name"]
    words = triton_log.refusals(log) if known else triton_log.failed_loads(log)
    return [Trouble(name, f"triton: {text}", final=True, container=Role.TRITON) for text in words]


def refusals(deployment: Manifest) -> list[Trouble]:
    """Why the cluster refuses to make the Deployment's pods at all: a quota, a policy, a priority class not there."""
    failed = condition(deployment, "ReplicaFailure")
    if failed is None or failed["status"] != "True":
        return []
    return [Trouble(f"of {deployment['metadata']['name']}", f"{failed.get('reason', '')}: {failed.get('message', '')}")]


def node_lines(pod: Manifest, nodes: Sequence[Manifest]) -> list[str]:
    """Say why a pod is on no node of its pool: the scheduler's own words count the nodes and name no taint.

    Nodes on which other pods have what this one asks for are not named: the scheduler's words say what that is.
    """
    named = [(node["metadata"]["name"], obstacles(pod, node)) for node in nodes]
    lines = [f"node {name}: {'; '.join(found)}" for name, found in named if found]
    more = len(lines) - _NODE_LIMIT
    return [*lines[:_NODE_LIMIT], *([f"and {more} more nodes"] if more > 0 else [])]


def obstacles(pod: Manifest, node: Manifest) -> list[str]:
    """Say why a node cannot take a pod, whatever else runs there: not ready, its taints, a device that it lacks."""
    found = []
    ready = condition(node, "Ready")
    if ready is None or ready["status"] != "True":
        found.append(f"not ready: {(ready or {}).get('message', 'no word')}")
    tolerations = pod["spec"].get("tolerations", [])
    taints = [taint for taint in node["spec"].get("taints", []) if not _is_tolerated(taint, tolerations)]
    if taints:
        words = [f"{taint['key']}{_value(taint)}:{taint['effect']}" for taint in taints]
        found.append(f"taints that the pod does not tolerate: {', '.join(words)}")
    allocatable = node.get("status", {}).get("allocatable", {})
    for resource, asked in _devices(pod).items():
        if asked > (offered := int(allocatable.get(resource, 0))):
            found.append(f"offers {offered} {resource}, the pod asks for {asked}")
    return found


def _devices(pod: Manifest) -> dict[str, int]:
    """Count the extended resources that a pod asks for, GPUs say: whole ones, by names with a domain."""
    asked: dict[str, int] = {}
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"].get("containers", [])]:
        for resource, amount in container.get("resources", {}).get("limits", {}).items():
            if "/" in resource:
                asked[resource] = asked.get(resource, 0) + int(amount)
    return asked


def _value(taint: Manifest) -> str:
    return f"={taint['value']}" if taint.get("value") else ""


def _is_tolerated(taint: Manifest, tolerations: Sequence[Manifest]) -> bool:
    """Kubernetes' rule (its documentation, "Taints and Tolerations"); a taint that only prefers is none."""
    return taint["effect"] == "PreferNoSchedule" or any(
        toleration.get("key", taint["key"]) == taint["key"]
        and toleration.get("effect", taint["effect"]) == taint["effect"]
        and (toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""))
        for toleration in tolerations
    )


def event_lines(events: Sequence[Manifest]) -> list[str]:
    """Write the last events as people read them: how often, what, and the words."""
    return [
        f"{event.get('count') or 1}x {event.get('reason', '')}: {' '.join(str(event.get('message', '')).split())}"
        for event in events[-_EVENT_LIMIT:]
    ]


def _of_container(pod: str, container: Manifest, events: Sequence[Manifest]) -> list[Trouble]:
    name = container["name"]
    waiting = container.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), " ".join(waiting.get("message", "").split())
    if reason in _PULLING:
        failed = sum(event.get("count") or 1 for event in events if _is_failed_pull(event))
        return [Trouble(pod, f"{name}: {reason}: {message}", final=failed >= _PULL_ATTEMPTS)]
    if reason in _HOPELESS:
        return [Trouble(pod, f"{name}: {reason}: {message}", final=True)]
    found = [_failed_probe(pod, name, events)]
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if ended:
        why = f"{name} ended with exit code {ended.get('exitCode')} ({ended.get('reason', 'Error')})"
        again = container.get("restartCount", 0)
        found.append(Trouble(pod, why, final=again > 0, container=name, ended=again > 0))
    return [trouble for trouble in found if trouble]


def _failed_probe(pod: str, container: str, events: Sequence[Manifest]) -> Trouble | None:
    """Find the newest word of a container's startup or readiness probe."""
    path = f"{{{container}}}"
    for event in reversed(events):
        if event.get("reason") == "Unhealthy" and path in event.get("involvedObject", {}).get("fieldPath", ""):
            told = unmarked(" ".join(str(event.get("message", "")).split()))
            return Trouble(pod, f"{container}: {told}", final=told.final, container=container)
    return None


def _is_failed_pull(event: Manifest) -> bool:
    return event.get("reason") == "Failed" and "pull" in str(event.get("message", "")).lower()


def _refusal(pod: Manifest) -> Manifest | None:
    """Find the scheduler's word that it has found no node."""
    scheduled = condition(pod, "PodScheduled")
    return scheduled if scheduled and scheduled["status"] == "False" else None


def condition(manifest: Manifest, kind: str) -> Manifest | None:
    """Find a condition of an object's status."""
    conditions = manifest.get("status", {}).get("conditions") or []
    return next((found for found in conditions if found["type"] == kind), None)
