"""The check of a service on a node pool: through its front door, from outside or by port-forward."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from components.providers import smoke_check
from components.providers.base import Provider, say
from components.providers.node_pool_cluster import cluster_of
from components.providers.smoke_check import SmokeCheckError
from targets.node_pool.cluster.owners import check_holder
from targets.node_pool.cluster.sleep import awake

__all__ = ["NodePoolCheck"]

_POLL_SECONDS = 1.0
_BALANCER_SECONDS = 300.0  # for a cloud to make a load balancer and to publish its name
_PORTS = {"http": 80, "https": 443}


class NodePoolCheckProvider(Provider):
    """Runs the check when the resource is made and whenever one of its inputs changed."""

    outputs = frozenset({"checks"})
    # Where a load balancer is reached says nothing about what is behind it.
    ignored = frozenset({"address"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_="smoke-check", outs=_run(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_run(_news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Refuse what must not be destroyed: it is deleted before everything that it checks."""
        cluster = cluster_of(_props)
        check_holder(cluster, _props["namespace"], _props["service"], _props.get("owner", ""))


def _run(props: dict[str, Any]) -> dict[str, Any]:
    with _held_awake(props), _way_in(props) as (way, url):
        _await_answer(url, props)
        count, found = smoke_check.check({**props, "url": url})
    if found:
        raise SmokeCheckError("the deployed service failed its check:\n" + "\n".join(f"  {line}" for line in found))
    say(f"{count} checks of {props['service']} through {way} passed")
    return {**props, "checks": count}


@contextlib.contextmanager
def _held_awake(props: dict[str, Any]) -> Iterator[None]:
    if not props.get("sleeps"):
        yield
        return
    with awake(cluster_of(props), props["namespace"], props["service"]):
        yield


@contextlib.contextmanager
def _way_in(props: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The way to the front door in words, and its URL."""
    address = props["address"]
    if address:
        say(f"waiting until {address} takes connections, for {_BALANCER_SECONDS:.0f} s at the most")
        url = f"{props['scheme']}://{address}"
        if (refusal := _await_connection(url)) is None:
            yield address, url
            return
        say(f"no connection to {address} from here ({refusal}): it may let others in; asking by port-forward")
    cluster = cluster_of(props)
    with cluster.forwarded(props["namespace"], props["service"], int(props["containerPort"])) as port:
        yield "a port-forward", f"{props['scheme']}://127.0.0.1:{port}"


def _await_connection(url: str) -> str | None:
    """Wait until a new load balancer takes connections; why it does not take this machine's."""
    parts = urlsplit(url)
    deadline = time.monotonic() + _BALANCER_SECONDS
    while True:
        try:
            with socket.create_connection((parts.hostname or "", parts.port or _PORTS[parts.scheme]), timeout=10):
                return None
        except OSError as error:
            if time.monotonic() > deadline:
                return str(error)
        time.sleep(_POLL_SECONDS)


def _await_answer(url: str, props: dict[str, Any]) -> None:
    """Wait until the front door and a replica behind it answer.

    A new load balancer needs a while, and a service that was scaled to zero is woken by this very request.
    """
    deadline = time.monotonic() + int(props["patienceSeconds"])
    path = "/v2/health/ready" if props["bundles"] else "/"
    received = ""
    with smoke_check.client({**props, "url": url}) as client:
        while time.monotonic() < deadline:
            try:
                status = client.get(path).status_code
                if status not in (502, 503, 504):
                    return
                received = f"{status}"
            except httpx.TransportError as error:
                received = str(error)
            time.sleep(_POLL_SECONDS)
    raise SmokeCheckError(f"GET {url}{path}: no answer within {props['patienceSeconds']} s; the last was: {received}")


class NodePoolCheck(Resource, module="triton", name="NodePoolCheck"):
    """The check of a deployed service; its inputs name everything whose change calls for another one."""

    checks: pulumi.Output[int]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = NodePoolCheckProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
