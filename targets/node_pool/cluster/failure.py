"""What a failed rollout tells: why first, then where to look further."""

import re
import shlex

from targets.node_pool.addresses import kubectl
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.diagnosis import (
    Trouble,
    event_lines,
    has_started,
    is_ready,
    is_unscheduled,
    node_lines,
)
from targets.node_pool.cluster.replicas import all_pods
from targets.node_pool.rendering import Manifest

__all__ = ["NONE_SERVES", "report"]

NONE_SERVES = "no replica serves"
_LOG_LINES = 40
_TRACEBACK = "Traceback (most recent call last)"
# How a record of a log starts, Triton's or Python's: where one stands below a traceback, the exception's words end.
_RECORD = re.compile(r"[IWEF]\d{4} |\d{4}-\d\d-\d\d[ T]|\[?(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")


def report(
    cluster: Cluster, deployment: Manifest, pods: list[Manifest], found: list[Trouble], waited: float
) -> list[str]:
    """Write a rollout's failure in lines: why the new `pods` are not ready, their containers' words, their events."""
    namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
    waiting = [pod for pod in pods if not is_ready(pod)]
    lines = [f"the new replicas of {name} are not ready after {waited:.0f} s; {_left(cluster, deployment, pods)}"]
    # What cannot mend itself tells most; of a container that ended, the log of the run that did, not of the next one.
    found = sorted(found, key=lambda trouble: not trouble.final)
    lines += [f"  {trouble}" for trouble in found]
    for trouble in found:
        if trouble.container:
            end = _end_of(cluster.logs(namespace, trouble.pod, trouble.container, previous=trouble.ended))
            lines += [
                f"  end of the log of {trouble.container} in pod {trouble.pod}:",
                *(f"    {line}" for line in end),
            ]
            break
    lines += _nodes_of([pod for pod in waiting if is_unscheduled(pod)], cluster)
    for pod in waiting:
        events = event_lines(cluster.events(namespace, pod["metadata"]["name"]))
        if events:
            lines += [f"  events of pod {pod['metadata']['name']}:", *(f"    {line}" for line in events)]
    for pod in [pod for pod in waiting if has_started(pod)][:1]:
        command = [*kubectl(cluster.context, namespace), "logs", f"pod/{pod['metadata']['name']}", "--all-containers"]
        whose = f" (by the kubeconfig in {cluster.kubeconfig.source})" if cluster.kubeconfig else ""
        lines.append(f"  all of it: {shlex.join(command)}{whose}")
    return lines


def _left(cluster: Cluster, deployment: Manifest, pods: list[Manifest]) -> str:
    """Who serves after the failure."""
    new = {pod["metadata"]["name"] for pod in pods}
    serving = sum(is_ready(pod) for pod in all_pods(cluster, deployment) if pod["metadata"]["name"] not in new)
    if serving == 0 and (ready := sum(map(is_ready, pods))):
        return f"{ready} of them serve"
    return {0: NONE_SERVES, 1: "the old replica goes on serving"}.get(serving, f"{serving} old replicas go on serving")


def _nodes_of(unscheduled: list[Manifest], cluster: Cluster) -> list[str]:
    """Say why the pool's nodes cannot take pods that found none; nothing where nodes may not be seen."""
    if not unscheduled:
        return []
    selector = unscheduled[0]["spec"].get("nodeSelector", {})
    nodes = cluster.nodes(selector)
    if nodes == []:
        return [f"  no node has the pool's label {' '.join(f'{key}={value}' for key, value in selector.items())}"]
    return [f"  {line}" for line in node_lines(unscheduled[0], nodes or [])]


def _end_of(log: list[str]) -> list[str]:
    """Find the last traceback in a log, or its last lines where there is none."""
    starts = [index for index, line in enumerate(log) if _TRACEBACK in line]
    if not starts:
        return log[-_LOG_LINES:]
    ends = (index for index, line in enumerate(log) if index > starts[-1] and _RECORD.match(line))
    told = log[starts[-1] : next(ends, len(log))][:_LOG_LINES]
    while told and not told[-1].strip():
        told.pop()
    return told
