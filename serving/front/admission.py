"""The front process: owns the port, answers health at once, and hands every other connection to a worker.

    a client connects ──► first bytes ─┬─► /, /ready, /metrics ──► this process answers
                               ▲       └─► anything else ──► held ──► the least busy worker answers
                               └── between two requests, if the worker is occupied ◄──┘

So health never waits for a script, not even for one that is stuck in C code. A connection goes to a worker as an open
file descriptor: from then on client and worker talk directly, and no bytes of the client pass through this process. A
worker whose run() occupies it gets no further connection until its loop turns again. It gives connections back between
two requests, and the next free worker takes them. Where too many wait already, this process refuses a request with 429,
and with 503 where nobody was free in time.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import select
import signal
import struct
import time
from _thread import start_new_thread  # imported by name, before gevent may replace them in the master
from collections import deque
from collections.abc import Callable, Sequence
from select import epoll
from socket import IPPROTO_TCP, MSG_PEEK, SHUT_RDWR, SHUT_WR, TCP_NODELAY, socket
from time import sleep

from serving.front import channel
from serving.front.connections import Client, WorkerLink
from serving.front.operations import PATHS, Operations
from serving.front.scoreboard import Scoreboard
from serving.http.client_contract import error_body
from serving.http.http1 import MAX_HEADER_BYTES, ProtocolError, Request, RequestParser, response
from serving.settings import Settings

logger = logging.getLogger("gunicorn.error")

READY_SECONDS = 60.0  # for all that /ready asks of Triton
LINGER_SECONDS = 2.0
_ACCEPTS_PER_TURN = 64
_CLIENT_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_OWN_STARTS = tuple(
    f"{method} {path}{end}".encode() for method in ("GET", "HEAD") for path in sorted(PATHS) for end in (" ", "?")
)


class Front:
    """Runs the loop of the front process."""

    def __init__(
        self, listeners: Sequence[socket], rendezvous: socket, scoreboard: Scoreboard, settings: Settings
    ) -> None:
        self._listeners = list(listeners)
        self._rendezvous = rendezvous
        self._scoreboard = scoreboard
        self._settings = settings
        self._row = scoreboard.front
        self._operations = Operations(settings, scoreboard, self._row)
        self._poll = epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._clients: dict[int, Client] = {}
        self._workers: dict[int, WorkerLink] = {}
        self._held: deque[Client] = deque()
        self._answers: deque[tuple[Client, bytes]] = deque()
        self._is_draining = False
        self._drain_until = 0.0

    def run(self) -> None:
        """Serve until SIGTERM, then hand over the connections that wait, within GRACEFUL_TIMEOUT, and return."""
        wake_read, wake_write = os.pipe()
        for descriptor in (wake_read, wake_write):
            os.set_blocking(descriptor, False)
        self._wake = wake_write
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_is_draining", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._watch(wake_read, functools.partial(self._on_wake, wake_read))
        self._rendezvous.setblocking(False)
        self._watch(self._rendezvous.fileno(), self._on_worker)
        if self._scoreboard.opened:
            self._open()
        next_tick = 0.0
        while not (self._is_draining and self._drain()):
            for descriptor, events in self._poll.poll(1.0):
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    handler(events)
            self._dispatch_held()
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + 1.0
                self._expire(now)

    # Listening.

    def _open(self) -> None:
        for listener in self._listeners:
            listener.setblocking(False)
            try:
                listener.listen(2048)
            except OSError as error:  # another program has opened the port since the master bound it
                host, port, *_ = listener.getsockname()
                logger.error("Cannot listen on %s:%s: %s. Give another --host or --port.", host, port, error.strerror)
                self._scoreboard.refuse()
                return
            self._watch(listener.fileno(), functools.partial(self._on_listener, listener))

    def _on_listener(self, listener: socket, _events: int = 0) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    logger.error("Cannot accept connections: %s", error)
                    sleep(0.01)  # the listener stays readable: do not spin
                return
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            self._add_client(connection)

    # Clients.

    def _add_client(self, connection: socket) -> None:
        connection.setblocking(False)
        client = Client(connection, time.monotonic() + self._settings.keep_alive)
        descriptor = connection.fileno()
        self._clients[descriptor] = client
        self._handlers[descriptor] = functools.partial(self._on_client, client)
        self._poll.register(descriptor, _CLIENT_EVENTS)
        self._on_client(client, select.EPOLLIN)

    def _forget(self, client: Client) -> None:
        descriptor = client.connection.fileno()
        if descriptor >= 0 and self._clients.pop(descriptor, None) is not None:
            self._unwatch(descriptor)
        if client.held_since:
            with contextlib.suppress(ValueError):
                self._held.remove(client)

    def _close(self, client: Client) -> None:
        self._forget(client)
        client.connection.close()

    def _on_client(self, client: Client, events: int) -> None:
        try:
            if client.is_lingering:
                while client.connection.recv(65536):
                    pass
                self._close(client)
            elif client.held_since:
                if events & (select.EPOLLHUP | select.EPOLLERR):
                    self._close(client)
            elif not client.is_asking:
                self._look(client)
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)

    def _look(self, client: Client) -> None:
        """Decide by the first bytes who answers; until then they stay in the socket."""
        while True:
            start = client.connection.recv(MAX_HEADER_BYTES, MSG_PEEK)
            if not start:
                self._close(client)
                return
            if not start.startswith(_OWN_STARTS):
                if not any(own.startswith(start) for own in _OWN_STARTS):
                    self._hold(client)
                return
            end = start.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(start) >= MAX_HEADER_BYTES:
                    self._hold(client)  # a worker refuses headers of this size
                return
            parser = RequestParser(0)
            try:
                parser.feed(start[:end])
            except ProtocolError:
                parser.requests.clear()
            if not parser.requests:
                self._hold(client)  # malformed, or with a body: a worker reads it
                return
            client.connection.recv(end)
            request = parser.requests[0]
            keep_alive = request.keep_alive and not self._is_draining
            if request.path == "/ready" and self._settings.triton_models:
                client.deadline = time.monotonic() + READY_SECONDS
                client.is_asking = True
                start_new_thread(self._answer_later, (client, request))
                return
            self._send(client, self._operations.answer(request, keep_alive))
            if not keep_alive:
                self._close(client)
                return
            client.deadline = time.monotonic() + self._settings.keep_alive

    def _answer_later(self, client: Client, request: Request) -> None:
        self._answers.append((client, self._operations.answer(request, False)))
        os.write(self._wake, b"\0")

    def _send(self, client: Client, answer: bytes) -> None:
        # These answers are small: where there is no room for one, the client does not read.
        if client.connection.send(answer) < len(answer):
            raise ConnectionAbortedError

    def _refuse(self, client: Client, status: int, message: str) -> None:
        """Answer without a worker, and close once the client has sent its request; a reset would lose the answer."""
        self._row.count_status(status)
        answer = response(status, error_body(message), [("Retry-After", "1")], keep_alive=False)
        self._send_last(client, answer)

    def _send_last(self, client: Client, answer: bytes) -> None:
        """Send an answer, and close once the client has read it."""
        try:
            self._send(client, answer)
            client.connection.shutdown(SHUT_WR)
        except OSError:
            self._close(client)
            return
        client.held_since = 0.0
        client.is_lingering = True
        client.deadline = time.monotonic() + LINGER_SECONDS
        self._on_client(client, select.EPOLLIN)

    # Handing over.

    def _hold(self, client: Client) -> None:
        limit = self._settings.max_concurrent_requests
        if self._held and len(self._held) + self._scoreboard.in_flight() >= limit:
            self._refuse(client, 429, f"The service is answering {limit} requests already. Try again later.")
            return
        client.held_since = time.monotonic()
        self._held.append(client)
        self._dispatch_held()

    def _dispatch_held(self) -> None:
        while self._held:
            worker = self._least_busy()
            if worker is None:
                return
            client = self._held.popleft()
            message = channel.CONNECTION + struct.pack("d", client.held_since)
            try:
                channel.send(worker.channel, message, client.connection.fileno())
            except OSError:
                self._held.appendleft(client)
                self._lose(worker)
                continue
            worker.on_their_way += 1
            client.held_since = 0.0
            self._close(client)

    def _least_busy(self) -> WorkerLink | None:
        free = [worker for worker in self._workers.values() if not worker.is_quitting and worker.has_room]
        return min(free, key=WorkerLink.load, default=None)

    # Workers.

    def _on_worker(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            link, _address = self._rendezvous.accept()
            if not channel.is_own(link):
                link.close()
                return
            link.setblocking(False)
            self._watch(link.fileno(), functools.partial(self._on_message, link))

    def _on_message(self, link: socket, _events: int) -> None:
        try:
            while True:
                message, descriptor = channel.receive(link)
                if not self._handle_message(link, message, descriptor):
                    return
        except BlockingIOError:
            pass
        except OSError:
            self._drop(link)

    def _handle_message(self, link: socket, message: bytes, descriptor: int | None) -> bool:
        worker = self._workers.get(link.fileno())
        kind = message[:1]
        if kind == channel.HELLO and worker is None:
            self._workers[link.fileno()] = WorkerLink(link, self._scoreboard.row(int(message[1:])))
            if not self._scoreboard.opened and len(self._workers) >= self._settings.worker_count:
                self._open()
                if not self._scoreboard.is_refused:
                    self._scoreboard.opened = True
                    logger.info("Listening at %s:%s", self._settings.host, self._settings.port)
        elif kind == channel.TAKEN and worker is not None:
            worker.on_their_way -= 1
        elif kind == channel.CONNECTION and descriptor is not None:
            self._add_client(socket(fileno=descriptor))
        elif kind == channel.QUIT and worker is not None:
            worker.is_quitting = True
            # The connections sent before still arrive; then the worker reads the end.
            link.shutdown(SHUT_WR)
        else:
            self._drop(link)
            return False
        return True

    def _lose(self, worker: WorkerLink) -> None:
        self._drop(worker.channel)

    def _drop(self, link: socket) -> None:
        if link.fileno() < 0:
            return
        self._workers.pop(link.fileno(), None)
        self._unwatch(link.fileno())
        link.close()

    # Time and end.

    def _on_wake(self, wake_read: int, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(wake_read, 512):
                pass
        while self._answers:
            client, answer = self._answers.popleft()
            self._send_last(client, answer)

    def _expire(self, now: float) -> None:
        self._row.set("connections", len(self._clients))
        for client in [client for client in self._clients.values() if not client.held_since and client.deadline < now]:
            self._close(client)
        limit = self._settings.scoring_seconds
        while self._held and self._held[0].held_since + limit < now:
            client = self._held.popleft()
            self._refuse(client, 503, f"No worker was free within {limit:g} s. Try again later.")

    def _drain(self) -> bool:
        """Stop listening and close idle connections.

        Returns:
            Whether no connection waits for a worker, and no client has still to read an answer.
        """
        self._drain_until = self._drain_until or time.monotonic() + self._settings.graceful_timeout
        for listener in self._listeners:
            self._on_listener(listener)
            self._unwatch(listener.fileno())
            if self._scoreboard.is_stopping:
                # Other processes have the socket too: closed here alone, it would let in clients that nobody serves.
                with contextlib.suppress(OSError):  # the port was not open yet
                    listener.shutdown(SHUT_RDWR)
            listener.close()
        self._listeners = []
        for client in list(self._clients.values()):
            if not client.held_since and not client.is_lingering:
                self._close(client)
        self._dispatch_held()
        if time.monotonic() > self._drain_until:
            while self._held:
                self._refuse(self._held.popleft(), 503, "The service is stopping. Try again later.")
        return not self._held and not any(client.is_lingering for client in self._clients.values())

    def _watch(self, descriptor: int, handler: Callable[[int], None]) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.EPOLLIN)

    def _unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
