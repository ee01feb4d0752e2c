"""What status, logs and check do on target `node-pool`."""

import json
import shlex
import subprocess
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from settings import Settings
from targets.machine.service import ServiceError
from targets.node_pool.addresses import logs_command
from targets.node_pool.cluster.diagnosis import is_ready
from targets.node_pool.cluster.identity import expected_cluster
from targets.node_pool.cluster.measure import measure
from targets.node_pool.cluster.way_in import LEADING, WayIn
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import FRONT_DOOR, REPLICA, Names
from targets.state import State, overall

__all__ = ["run"]


def run(verb: str, console: Console, settings: Settings, *, follow: bool, cluster: str = "") -> int:
    """Run a verb; gives an exit code. `cluster` is the stack's output of that name, "" where nothing is deployed.

    Raises `ClusterError`, of another cluster than that too, and `ServiceError` for a verb that has no sense here.
    """
    known = json.loads(cluster) if cluster else None
    if verb == "status":
        return _show_status(console, settings, known)
    if verb == "logs":
        return _show_logs(settings, known, follow=follow)
    raise ServiceError("check serves models on this machine: give it a stack of target 'process' or 'docker'")


def _names(settings: Settings) -> Names:
    return Names(settings.service_name, settings.node_pool.namespace)


def _show_status(console: Console, settings: Settings, known: dict[str, Any] | None) -> int:
    names, cluster = _names(settings), expected_cluster(settings.node_pool.context or "", known)
    state, problems = measure(cluster, names.namespace, names.service, Needs.of(REPLICA, settings))
    door, closed = measure(cluster, names.namespace, names.front_door, Needs.of(FRONT_DOOR, settings))
    exposure = settings.node_pool.exposure.kind
    way = WayIn.measure(cluster, exposure, names.namespace, names.service) if exposure in LEADING else WayIn()
    state = overall(overall(state, door), State.of(filter(None, [way.problem])))
    console.print(f"{names.service}: {state}")
    for problem in (*problems, *closed, *filter(None, [way.problem])):
        console.print(f"  {problem}", markup=False)
    table = Table("pod", "ready", "restarts", "node", "since", box=box.SIMPLE_HEAD)
    for component in (REPLICA, FRONT_DOOR):
        for pod in cluster.select("pods", names.namespace, names.selector(component)):
            status = pod.get("status", {})
            containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
            restarts = sum(container.get("restartCount", 0) for container in containers)
            since = str(pod["metadata"].get("creationTimestamp", "-")).replace("T", " ").rstrip("Z")
            ready = "yes" if is_ready(pod) else "no"
            table.add_row(pod["metadata"]["name"], ready, str(restarts), pod["spec"].get("nodeName", "-"), since)
    console.print(table)
    return 0 if state is State.HEALTHY else 1


def _show_logs(settings: Settings, known: dict[str, Any] | None, *, follow: bool) -> int:
    if known:
        expected_cluster(settings.node_pool.context or "", known)
    command = logs_command(_names(settings), settings.node_pool.context)
    command += ["--follow"] if follow else []
    try:
        return subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        raise ServiceError(f"kubectl is not on PATH; the command is: {shlex.join(command)}") from None
