"""One client connection of a worker that runs an asynchronous script."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from serving.http.http1 import CONTINUE, ProtocolError, Request, RequestParser
from serving.script.call import Call
from serving.workers.script_worker import TICK_SECONDS, abandon, unread_by

if TYPE_CHECKING:
    from serving.workers.asyncio_worker import AsyncioWorker

logger = logging.getLogger("azmlinfsrv")

PIPELINE_LIMIT = 16


class Connection(asyncio.Protocol):
    """One client connection. It answers its requests one after the other, in order."""

    _transport: asyncio.Transport

    def __init__(self, worker: AsyncioWorker, received: float) -> None:
        self._worker = worker
        self._received = received
        self._parser = RequestParser(worker.settings.max_request_bytes)
        self._pending: deque[Request | ProtocolError] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_lingering = False
        self._has_ended = False  # whether the client sends nothing more
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._unread = 0  # bytes of answers that the client has not taken, when `expire` was called last
        self._unread_since = 0.0
        self.waits_since = time.monotonic()  # zero while a request is under way

    @property
    def is_idle(self) -> bool:
        """Whether the connection is between two requests."""
        return self._task is None and self._parser.is_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the new connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._worker.connections.add(self)
        self._worker.row.set("connections", len(self._worker.connections))

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection, and let an answer that waits for the client go on to its failure."""
        self._worker.connections.discard(self)
        self._worker.row.set("connections", len(self._worker.connections))
        self._is_writable.set()

    def pause_writing(self) -> None:
        """Let answers wait: the client takes them too slowly."""
        self._is_writable.clear()

    def resume_writing(self) -> None:
        """Let answers go on."""
        self._is_writable.set()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client's, and begin with the first request that is complete."""
        if self._is_lingering:
            return
        parser = self._parser
        if self.waits_since:
            self.waits_since = time.monotonic()
        try:
            parser.feed(data)
        except ProtocolError as error:
            self._transport.pause_reading()
            self._take_requests()
            self._pending.append(error)
        else:
            if parser.continue_expected:
                parser.continue_expected = False
                self._transport.write(CONTINUE)
            self._take_requests()
        if self._pending and self._task is None:
            self._start()

    def eof_received(self) -> bool:
        """Keep the connection open while there are answers: the client sends nothing more, and may still read."""
        self._has_ended = True
        return self._task is not None or bool(self._pending)

    def expire(self, now: float) -> None:
        """End a connection whose client has been silent, or has taken nothing of its answer, for KEEP_ALIVE seconds."""
        limit = self._worker.settings.keep_alive
        client = self.socket
        unread = self._transport.get_write_buffer_size()
        if unread:
            unread += unread_by(client)
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
            if self.waits_since:
                self.waits_since = now
        elif unread and self._unread_since < now - limit:
            abandon(client)
            self._transport.abort()
        elif not unread and self.waits_since and self.waits_since < now - limit:
            self.close()

    @property
    def socket(self) -> Any:
        """The client's socket."""
        return self._transport.get_extra_info("socket")

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def give_back(self) -> None:
        """Give the connection to the front process; it stays here where that is not possible now."""
        with contextlib.suppress(BlockingIOError):
            if self._worker.give_back(self.socket):
                self._transport.abort()
            elif not self._worker.alive:
                self._transport.close()

    def leave(self) -> None:
        """Give the connection back, or close it, if nothing is under way: the worker ends."""
        is_silent = self.waits_since and self.is_idle and not self._is_lingering
        is_sent = not self._transport.get_write_buffer_size()
        if is_silent and is_sent and self._worker.may_be_closed(self.socket):
            self.give_back()

    def _take_requests(self) -> None:
        for request in self._parser.requests:
            if self._received:
                request.received, self._received = self._received, 0.0
            self._pending.append(request)
        self._parser.requests.clear()
        if len(self._pending) > PIPELINE_LIMIT:
            self._transport.pause_reading()

    def _start(self) -> None:
        """Answer the next request, in a task of its own: a time limit can cancel it, and it has its own context."""
        self.waits_since = 0.0
        self._task = self._worker.loop.create_task(self._answer_or_close(self._pending.popleft()))

    async def _answer_or_close(self, request: Request | ProtocolError) -> None:
        try:
            await self._answer(request)
        except ConnectionAbortedError:  # the client has gone, or an answer was broken off
            self._transport.close()
        except BaseException:
            logger.exception("A request got no answer")
            self._transport.abort()

    async def _answer(self, request: Request | ProtocolError) -> None:
        scorer, transport = self._worker.scorer, self._transport
        turn = self._worker.count_turn()
        gives_back = False
        if isinstance(request, ProtocolError):
            keep_alive = False
            transport.write(scorer.protocol_error(request))
        else:
            call = Call(request)
            answer = scorer.begin(call)
            if answer is None:
                try:
                    answer = await self._worker.score(call, self)
                finally:
                    scorer.leave(call)
                has_turned = self._worker.turn != turn
                seconds = 0.0 if has_turned else time.perf_counter() - call.started
                gives_back = self._worker.should_give_back(call, seconds)
            keep_alive = call.keep_alive
            await self._take(answer)
        self._task = None
        self.waits_since = time.monotonic()
        if transport.is_closing():
            return
        if self._has_ended and not (keep_alive and self._pending):
            self.close()
        elif not keep_alive:
            self._linger()
        elif self._pending:
            self._start()
        else:
            transport.resume_reading()
            if gives_back and self._parser.is_idle and not transport.get_write_buffer_size():
                self.give_back()

    async def send(self, part: bytes) -> None:
        """Send a part of an answer, and let the loop turn.

        Raises:
            ConnectionAbortedError: the client has gone.
        """
        await self._take(part)
        await asyncio.sleep(0)
        if not self._is_writable.is_set():
            await self._is_writable.wait()
        if self._transport.is_closing():
            raise ConnectionAbortedError

    async def _take(self, content: bytes) -> None:
        if not self._is_writable.is_set():
            await self._is_writable.wait()
        if not self._transport.is_closing():
            self._transport.write(content)

    def abandon(self) -> None:
        """Make the connection's end a reset, which no client takes for the end of an answer."""
        abandon(self.socket)

    def _linger(self) -> None:
        """Let the client read the answer before the connection ends: closing with unread bytes would reset it."""
        self._pending.clear()
        self._is_lingering = True
        self._transport.resume_reading()
        self._transport.write_eof()
        self._worker.loop.call_later(TICK_SECONDS, self._transport.close)
