"""A client of a generation's servers, with a connection of each thread's own."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
from dataclasses import dataclass

from serving.probing.probe import CHECK_HEADER
from serving.proving.plan import Request, Servers
from serving.triton.tensors import LENGTH_HEADER

_IDLE_SECONDS = 1.0

_Kept = tuple[http.client.HTTPConnection, float]
"""A connection, and when its last answer came."""


@dataclass(frozen=True)
class Answer:
    """An answer, and the seconds that it took. `status` 0: there was none, and `body` says why."""

    status: int
    body: bytes
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Tell whether the server, and not the request, is at fault; a full one too."""
        return self.status == 0 or self.status >= 500 or self.status in (408, 429)


class Client:
    """Sends requests to one generation; any thread may call it.

    Args:
        servers: The generation's addresses.
        timeout: Seconds for one answer.
    """

    def __init__(self, servers: Servers, timeout: float) -> None:
        self._servers = servers
        self._timeout = timeout
        self._of_thread = threading.local()

    def send(self, request: Request) -> Answer:
        """Send a request, again on a new connection where the kept one was closed meanwhile."""
        address = self._servers.of(request.to)
        kept: dict[str, _Kept] = self._of_thread.__dict__
        headers = {CHECK_HEADER: "true"}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        if request.head_bytes is not None:
            headers[LENGTH_HEADER] = str(request.head_bytes)
        started = time.perf_counter()
        while True:
            # A server closes connections that idle; one that it closes under load is a request that failed.
            connection, used = kept.setdefault(address, (_connection(address, self._timeout), started))
            idled = started - used > _IDLE_SECONDS
            try:
                connection.request(request.method, request.path, request.body or None, headers)
                response = connection.getresponse()
                body = response.read()
                now = time.perf_counter()
                kept[address] = connection, now
                return Answer(response.status, body, now - started)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                del kept[address]
                if not (idled and isinstance(error, ConnectionError | http.client.RemoteDisconnected)):
                    return Answer(0, f"{type(error).__name__}: {error}".encode(), time.perf_counter() - started)


def _connection(address: str, timeout: float) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
