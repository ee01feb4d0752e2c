"""The check of a service on a node pool: through its front door, from outside or by port-forward."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from common.waiting import wait_until
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.sleep import awake
from targets.smoke_check import Questions, SmokeCheckError, check, client, failure

__all__ = ["FrontDoorPlace", "check_through"]

_POLL_SECONDS = 1.0
_BALANCER_SECONDS = 300.0  # for a cloud to make a load balancer and to publish its name
Reach = Callable[[], Cluster]
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class FrontDoorPlace:
    """How a front door on a node pool is reached.

    Attributes:
        address: A load balancer's own; "" for a port-forward.
        sleeps: Whether the service may be scaled to zero.
        patience: Seconds that the door and a replica behind it may take to answer.
    """

    namespace: str
    service: str
    port: int
    scheme: str
    address: str
    sleeps: bool
    patience: int


def check_through(reach: Reach, door: FrontDoorPlace, questions: Questions, say: Callable[[str], None]) -> int:
    """Ask a service through its front door; gives how many things were asked.

    `reach` opens the cluster, where the way in leads through it.

    Raises:
        SmokeCheckError: It does not answer as it should.
    """
    with _held_awake(reach, door), _way_in(reach, door, say) as (way, url):
        _await_answer(url, door.patience, questions)
        count, found = check(questions.at(url))
    if found:
        raise failure(found)
    say(f"{count} checks of {door.service} through {way} passed")
    return count


@contextlib.contextmanager
def _held_awake(reach: Reach, door: FrontDoorPlace) -> Iterator[None]:
    if not door.sleeps:
        yield
        return
    with awake(reach(), door.namespace, door.service):
        yield


@contextlib.contextmanager
def _way_in(reach: Reach, door: FrontDoorPlace, say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """The way to the front door in words, and its URL."""
    if door.address:
        say(f"waiting until {door.address} takes connections, for {_BALANCER_SECONDS:.0f} s at the most")
        url = f"{door.scheme}://{door.address}"
        if (refusal := _await_connection(url)) is None:
            yield door.address, url
            return
        say(f"no connection to {door.address} from here ({refusal}): it may let others in; asking by port-forward")
    with reach().forwarded(door.namespace, door.service, door.port) as port:
        yield "a port-forward", f"{door.scheme}://127.0.0.1:{port}"


def _await_connection(url: str) -> str | None:
    """Wait until a new load balancer takes connections; why it does not take this machine's."""
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    refusal = None

    def connects() -> bool:
        nonlocal refusal
        try:
            socket.create_connection(place, timeout=10).close()
        except OSError as error:
            refusal = str(error)
            return False
        return True

    return None if wait_until(connects, seconds=_BALANCER_SECONDS, every=_POLL_SECONDS) else refusal


def _await_answer(url: str, patience: int, questions: Questions) -> None:
    """Wait until the front door and a replica behind it answer.

    A new load balancer needs a while, and a service that was scaled to zero is woken by this very request.
    """
    path = "/v2/health/ready" if questions.bundles else "/"
    received = ""

    def answers() -> bool:
        nonlocal received
        try:
            status = asking.get(path).status_code
        except httpx.TransportError as error:
            received = str(error)
            return False
        received = str(status)
        return status not in (502, 503, 504)

    with client(questions.at(url)) as asking:
        if not wait_until(answers, seconds=patience, every=_POLL_SECONDS):
            raise SmokeCheckError(f"GET {url}{path}: no answer within {patience} s; the last was: {received}")
