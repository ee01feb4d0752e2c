"""A service's status on target `node-pool`: its state and its pods, as they are at this moment."""

from rich import box
from rich.console import Console
from rich.table import Table

from targets.contract import Stack
from targets.node_pool.canary.portion import Portion
from targets.node_pool.cluster.diagnosis import is_ready
from targets.node_pool.cluster.identity import expected_cluster, known_cluster
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from targets.node_pool.cluster.way_in import LEADING, WayIn
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import CANDIDATE, FRONT_DOOR, REPLICA, Names
from targets.node_pool.service import measure
from targets.state import State, overall

__all__ = ["show"]


def show(stack: Stack, console: Console) -> int:
    """Print the status; gives 0 where the service is healthy and 1 where it is not.

    Raises `ClusterError`, also where the kubeconfig leads to another cluster than the one that serves the stack.
    """
    settings, names = stack.settings, Names.of_settings(stack.settings)
    kubeconfig = Kubeconfig.of(stack)
    cluster = expected_cluster(settings.node_pool.context or "", known_cluster(stack.cluster), kubeconfig)
    state, problems = measure(cluster, names.namespace, names.service, Needs.of(REPLICA, settings))
    door, closed = measure(cluster, names.namespace, names.front_door, Needs.of(FRONT_DOOR, settings))
    exposure = settings.node_pool.exposure.kind
    way = WayIn.measure(cluster, exposure, names.namespace, names.service) if exposure in LEADING else WayIn()
    portion = Portion.of(cluster, names)
    beside, ill = State.HEALTHY, list[str]()
    if portion is not None:
        beside, ill = measure(cluster, names.namespace, names.candidate, Needs.of(CANDIDATE, settings))
    for other in (door, beside, State.of(filter(None, [way.problem]))):
        state = overall(state, other)
    console.print(f"{names.service}: {state}")
    for problem in (*problems, *ill, *closed, *filter(None, [way.problem])):
        console.print(f"  {problem}", markup=False)
    if portion is not None:
        console.print(f"  {names.candidate} {portion}", markup=False)
    table = Table("pod", "ready", "restarts", "node", "since", box=box.SIMPLE_HEAD)
    for component in (REPLICA, *([CANDIDATE] if portion is not None else []), FRONT_DOOR):
        for pod in cluster.select("pods", names.namespace, names.selector(component)):
            status = pod.get("status", {})
            containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
            restarts = sum(container.get("restartCount", 0) for container in containers)
            since = str(pod["metadata"].get("creationTimestamp", "-")).replace("T", " ").rstrip("Z")
            ready = "yes" if is_ready(pod) else "no"
            table.add_row(pod["metadata"]["name"], ready, str(restarts), pod["spec"].get("nodeName", "-"), since)
    console.print(table)
    return 0 if state is State.HEALTHY else 1
