"""A client of a generation's servers, with a connection of each thread's own."""

from __future__ import annotations

import http.client
import math
import threading
import time
import urllib.parse
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from serving.probing.probe import CHECK_HEADER, UNRECORDED
from serving.proving.plan import Request, Server, Servers
from serving.triton.tensors import LENGTH_HEADER

_IDLE_SECONDS = 1.0
_PART_BYTES = 1 << 20

_Kept = tuple[http.client.HTTPConnection, float]
"""A connection, and when its last answer came."""


@dataclass(frozen=True)
class Answer:
    """An answer, and the seconds that it took. `status` 0: there was none, and `body` says why."""

    status: int
    body: bytes
    seconds: float = 0.0
    late: bool = False
    """Whether it did not come in its time."""

    head_bytes: int | None = None
    """So many bytes of the body are JSON, and Triton's binary tensors follow; None where there are none."""

    @property
    def failed(self) -> bool:
        """Tell whether the server, and not the request, is at fault; a full one too."""
        return self.status == 0 or self.status >= 500 or self.status in (408, 429)


class Client:
    """Sends requests to one generation; any thread may call it.

    Args:
        servers: The generation's addresses.
        timeout: Seconds for one whole answer.
    """

    def __init__(self, servers: Servers, timeout: float) -> None:
        self._servers = servers
        self.timeout = timeout
        self._of_thread = threading.local()

    def connect(self, servers: Iterable[Server]) -> None:
        """Open this thread's connections; one that cannot be opened fails with its first request."""
        for server in servers:
            connection, _ = self._kept(self._servers.of(server))
            with suppress(OSError):
                connection.connect()

    def send(self, request: Request, within: float = math.inf) -> Answer:
        """Send a request, again on a new connection where the kept one was closed meanwhile.

        Args:
            request: What is sent.
            within: Seconds for the whole answer, where these are fewer than the client's timeout.
        """
        timeout = min(self.timeout, within)
        address = self._servers.of(request.to)
        headers = {CHECK_HEADER: UNRECORDED}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        if request.head_bytes is not None:
            headers[LENGTH_HEADER] = str(request.head_bytes)
        started = time.perf_counter()
        while True:
            # A server closes connections that idle; one that it closes under load is a request that failed.
            connection, used = self._kept(address)
            idled = started - used > _IDLE_SECONDS
            connection.timeout = timeout
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            try:
                connection.request(request.method, request.path, request.body or None, headers)
                answer = _answer(connection, started, timeout)
                self._of_thread.__dict__[address] = connection, started + answer.seconds
                return answer
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                del self._of_thread.__dict__[address]
                if not (idled and isinstance(error, ConnectionError | http.client.RemoteDisconnected)):
                    text = f"{type(error).__name__}: {error}".encode()
                    return Answer(0, text, time.perf_counter() - started, isinstance(error, TimeoutError))

    def _kept(self, address: str) -> _Kept:
        kept: dict[str, _Kept] = self._of_thread.__dict__
        return kept.setdefault(address, (_connection(address, self.timeout), time.perf_counter()))


def _answer(connection: http.client.HTTPConnection, started: float, timeout: float) -> Answer:
    sock = connection.sock
    response = connection.getresponse()
    parts = []
    while part := response.read1(_PART_BYTES):
        parts.append(part)
        left = started + timeout - time.perf_counter()
        if left <= 0:  # a server that sends a little now and then has no end otherwise
            raise TimeoutError(f"the answer had no end within {timeout:g} s")
        if not response.isclosed():
            sock.settimeout(left)
    response.read()  # ends the answer, and tells of one that was cut
    head = response.headers.get(LENGTH_HEADER, "")
    return Answer(
        response.status,
        b"".join(parts),
        time.perf_counter() - started,
        head_bytes=int(head) if head.isdecimal() else None,
    )


def _connection(address: str, timeout: float) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
