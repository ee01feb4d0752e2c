"""The worker for an asynchronous script: a uvloop with one protocol object per connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvloop

from serving import boot, channel
from serving.call import Call
from serving.http1 import CONTINUE, ProtocolError, Request, RequestParser
from serving.scoring import ScoringTimeout
from serving.script import Script
from serving.stream import Stream, StreamBroken
from serving.worker import TICK_SECONDS, ScriptWorker, abandon, unread_by

logger = logging.getLogger("azmlinfsrv")

RETRY_SECONDS = 0.01
PIPELINE_LIMIT = 16


class AsyncioWorker(ScriptWorker):
    """Runs a script with `async def run`; its init() may be asynchronous too, and runs in the same loop."""

    def load_script(self) -> Script:
        """The script, imported; init() follows in the loop."""
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        loaded: Script = self.app.preloaded or boot.boot(self.settings, call_init=False)
        try:
            self.loop.run_until_complete(_initialise(loaded))
        except BaseException as error:
            boot.report("User's init function failed", error, self.settings)
            raise boot.BootError from error
        return loaded

    def run(self) -> None:
        """Serve until told to stop, then finish what is under way."""
        self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self.connections: set[_Connection] = set()
        self.turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        wake = asyncio.Event()

        def stop() -> None:
            self.alive = False
            wake.set()

        self.loop.add_signal_handler(signal.SIGTERM, stop)
        self.watch_blocking_runs()
        self._connect()
        while self.alive:
            self.notify()
            self._expire()
            self.count_excess()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake.wait(), TICK_SECONDS)
        await self._drain()

    # The link to the front process.

    def _connect(self) -> None:
        self.connect()
        self.loop.add_reader(self.link.fileno(), self._on_link)

    def _on_link(self) -> None:
        try:
            for descriptor, received in self.received():
                task = self.loop.create_task(self._adopt(socket.socket(fileno=descriptor), received))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except EOFError:
            self.loop.remove_reader(self.link.fileno())
            if self.awaits_front():
                self._connect()

    async def _adopt(self, client: socket.socket, received: float) -> None:
        client.setblocking(False)
        try:
            await self.loop.connect_accepted_socket(lambda: _Connection(self, received), client)
            # One more turn of the loop: a run() that computes has the worker for itself.
            await asyncio.sleep(0)
        except OSError:
            client.close()
        finally:
            while not self.say_taken():
                await asyncio.sleep(RETRY_SECONDS)

    # Connections.

    def count_turn(self) -> int:
        """A number that the loop raises in its next turn: the same number later on means that the loop stood still."""
        turn = self.turn
        self.loop.call_soon(self._next_turn, turn)
        return turn

    def _next_turn(self, turn: int) -> None:
        self.turn = turn + 1

    async def score(self, call: Call, connection: _Connection) -> bytes:
        """The answer to a call that `Scorer.begin` has let pass, or of an answer in parts its end: the rest is sent."""
        self.scorer.start(call)
        try:
            output = await self._timed(call, lambda: self.scorer.script.run(**call.arguments))
        except BaseException as error:  # an extension's panic is no Exception
            return self.scorer.fail(call, error)
        answer = self.scorer.finish(call, output)
        return await self._stream(call, answer, connection) if isinstance(answer, Stream) else answer

    async def _stream(self, call: Call, stream: Stream, connection: _Connection) -> bytes:
        """Send the parts of an answer as the script gives them; what ends it is returned."""
        take, close = (stream.anext, stream.aclose) if stream.is_async else (_later(stream.next), _later(stream.close))
        try:
            while True:
                try:
                    part = await self._timed(call, take)
                except BaseException as error:
                    return self.scorer.break_off(call, stream, error)
                call.parts += 1
                framed = self.scorer.send_part(call, stream, part)
                if part is None:
                    return framed
                started = time.perf_counter()
                await connection.send(framed)
                call.away_seconds += time.perf_counter() - started
        except StreamBroken:
            if not stream.is_chunked:
                connection.abandon()  # its end would look like the answer's
            raise
        finally:
            try:
                await self._timed(call, close)
            except BaseException:
                logger.exception("The generator of an answer failed when it was closed")
            self.scorer.end_stream(call)

    async def _timed(self, call: Call, function: Callable[[], Awaitable[Any]]) -> Any:
        """Call the script, for SCORING_TIMEOUT_MS at most."""
        call.since = time.perf_counter()
        expiry = self.loop.call_later(self.settings.scoring_timeout_ms / 1000, _cancel, asyncio.current_task(), call)
        try:
            call.is_running = True
            try:
                return await function()
            finally:
                # From here on no time limit strikes: what follows is the answer.
                call.is_running = False
        except asyncio.CancelledError:
            if call.has_expired:
                raise ScoringTimeout from None
            raise
        finally:
            expiry.cancel()

    def may_interrupt(self) -> bool:
        """Protocols run in the context of the call that made them, but in no task."""
        return asyncio.current_task() is not None

    def _expire(self) -> None:
        now = time.monotonic()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # it may just have been lost
                connection.expire(now)

    async def _drain(self) -> None:
        """Finish what is under way, for GRACEFUL_TIMEOUT seconds at most; idle connections go elsewhere, or end."""
        deadline = time.monotonic() + self.settings.graceful_timeout
        self.scorer.keeps_connections = False
        with contextlib.suppress(OSError):
            channel.send(self.link, channel.QUIT)
        while time.monotonic() < deadline:
            for connection in list(self.connections):
                connection.leave()
            await asyncio.sleep(RETRY_SECONDS)
            if not self.connections:
                return


class _Connection(asyncio.Protocol):
    """One client connection. Its requests are answered one after the other, in order."""

    _transport: asyncio.Transport

    def __init__(self, worker: AsyncioWorker, received: float) -> None:
        self._worker = worker
        self._received = received
        self._parser = RequestParser(worker.settings.max_request_bytes)
        self._pending: deque[Request | ProtocolError] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_lingering = False
        self._has_ended = False  # the client's side
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._unread = 0  # bytes of answers that the client has not taken, when `expire` was called last
        self._unread_since = 0.0
        self.waits_since = time.monotonic()  # zero while run() is at it

    @property
    def is_idle(self) -> bool:
        """Whether the connection is between two requests."""
        return self._task is None and self._parser.is_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._worker.connections.add(self)
        self._worker.row.set("connections", len(self._worker.connections))

    def connection_lost(self, _error: Exception | None) -> None:
        self._worker.connections.discard(self)
        self._worker.row.set("connections", len(self._worker.connections))
        self._is_writable.set()

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    def data_received(self, data: bytes) -> None:
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
        """The client sends nothing more, and may still read: whether there is something to answer before the end."""
        self._has_ended = True
        return self._task is not None or bool(self._pending)

    def expire(self, now: float) -> None:
        """End a connection whose client has been silent, or has taken nothing of its answer, for KEEP_ALIVE seconds."""
        limit = self._worker.settings.keep_alive
        client = self._transport.get_extra_info("socket")
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

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def give_back(self) -> None:
        """Let the front process have the connection; it stays here where that is not possible now."""
        with contextlib.suppress(BlockingIOError):
            if self._worker.give_back(self._transport.get_extra_info("socket")):
                self._transport.abort()
            elif not self._worker.alive:
                self._transport.close()

    def leave(self) -> None:
        """Be given back, or closed, if nothing is under way: the worker ends."""
        is_silent = self.waits_since and self.is_idle and not self._is_lingering
        is_sent = not self._transport.get_write_buffer_size()
        if is_silent and is_sent and self._worker.may_be_closed(self._transport.get_extra_info("socket")):
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
        """Answer the next request, in a task of its own: it may be cancelled, and has the request's context."""
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
        """Send a part of an answer, and let the loop do so. Raises ConnectionAbortedError where the client has gone."""
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
        """Have the end of the connection look like no end of an answer."""
        abandon(self._transport.get_extra_info("socket"))

    def _linger(self) -> None:
        """Let the client read the answer before the connection ends: closing with unread bytes would reset it."""
        self._pending.clear()
        self._is_lingering = True
        self._transport.resume_reading()
        self._transport.write_eof()
        self._worker.loop.call_later(TICK_SECONDS, self._transport.close)


def _later(function: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """A function as one to await; it has the loop for itself."""

    async def call() -> Any:
        return function()

    return call


async def _initialise(loaded: Script) -> None:
    logger.info("Invoking user's init function")
    result = loaded.init()
    if asyncio.iscoroutine(result):
        await result
    logger.info("User's init has completed successfully")


def _cancel(task: asyncio.Task[Any], call: Call) -> None:
    call.has_expired = True
    task.cancel()
