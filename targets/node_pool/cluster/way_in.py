"""What leads to the front door from outside, made by the cluster's own controllers: whether it is there yet."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.waiting import wait_until
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.diagnosis import event_lines
from targets.node_pool.rendering import Manifest
from targets.node_pool.rollout import RolloutError

__all__ = ["LEADING", "WayIn", "await_way_in"]

# By `nodePool.exposure.kind`: the kind of the object that a controller acts on, as Kubernetes lists and calls it.
LEADING = {
    "loadBalancer": ("services", "Service", "a load balancer"),
    "ingress": ("ingresses", "Ingress", "an Ingress controller"),
    "gateway": ("httproutes.gateway.networking.k8s.io", "HTTPRoute", "a Gateway"),
}
_POLL_SECONDS = 2.0
_REPEAT_SECONDS = 30.0


@dataclass(frozen=True)
class WayIn:
    """What a controller has made of an object: the address where it gave one, and what is missing yet."""

    address: str = ""
    problem: str = ""

    @classmethod
    def measure(cls, cluster: Cluster, exposure: str, namespace: str, name: str) -> "WayIn":
        """Look at the object that leads to a front door; `exposure` is a kind of `LEADING`."""
        kind, called, controller = LEADING[exposure]
        found = cluster.get(kind, namespace, name)
        if found is None:
            return cls(problem=f"there is no {called} {name} in the namespace {namespace}")
        if exposure == "gateway":
            return cls(problem="; ".join(_refusals(found, name)))
        given = found.get("status", {}).get("loadBalancer", {}).get("ingress") or []
        if not given:
            return cls(problem=f"{controller} has given the {called} {name} no address")
        return cls(address=str(given[0].get("ip") or given[0].get("hostname") or ""))


def await_way_in(
    cluster: Cluster, exposure: str, namespace: str, name: str, seconds: int, say: Callable[[str], None]
) -> WayIn:
    """Wait until what leads in is there, and say what is waited for; raises `RolloutError` after `seconds`."""
    called = LEADING[exposure][1]
    started, said, way = time.monotonic(), 0.0, WayIn()

    def is_there() -> bool:
        nonlocal said, way
        before, way = way, WayIn.measure(cluster, exposure, namespace, name)
        now = time.monotonic()
        if way.problem and (way.problem != before.problem or now - said > _REPEAT_SECONDS):
            left = max(0.0, seconds - (now - started))
            say(f"{way.problem} yet; waiting for {left:.0f} s more at the most")
            said = now
        return not way.problem

    if not wait_until(is_there, seconds=seconds, every=_POLL_SECONDS):
        told = [_failure(way.problem, exposure, seconds), *_events(cluster, called, namespace, name)]
        raise RolloutError("\n".join(told))
    return way


def _failure(problem: str, exposure: str, seconds: int) -> str:
    return (
        f"{problem} after {seconds} s (nodePool.exposure.addressSeconds); does the cluster have {LEADING[exposure][2]} "
        "for it? The next up goes on waiting"
    )


def _events(cluster: Cluster, called: str, namespace: str, name: str) -> list[str]:
    found = [event for event in cluster.events(namespace, name) if event["involvedObject"]["kind"] == called]
    events = event_lines(found)
    return [f"  events of the {called} {name}:", *(f"    {line}" for line in events)] if events else []


def _refusals(route: Manifest, name: str) -> Iterator[str]:
    """Say why the Gateways of a route refuse it, or that none has looked at it yet."""
    parents = route.get("status", {}).get("parents") or []
    if not parents:
        yield f"no Gateway has accepted the HTTPRoute {name}"
    for parent in parents:
        for found in parent.get("conditions") or ():
            if found["type"] in ("Accepted", "ResolvedRefs") and found["status"] != "True":
                why = f"{found.get('reason', '')}: {found.get('message', '')}"
                yield f"the Gateway {parent.get('parentRef', {}).get('name')} refuses the HTTPRoute {name}: {why}"
