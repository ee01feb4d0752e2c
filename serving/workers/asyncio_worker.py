"""The worker for an asynchronous script: a uvloop with one protocol object per connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from serving.front import channel
from serving.http.stream import Stream, StreamBroken
from serving.script import boot
from serving.script.call import Call
from serving.script.entry_script import Script
from serving.script.scoring import ScoringTimeout
from serving.workers.asyncio_connection import Connection
from serving.workers.script_worker import TICK_SECONDS, ScriptWorker

logger = logging.getLogger("azmlinfsrv")

RETRY_SECONDS = 0.01


class AsyncioWorker(ScriptWorker):
    """Runs a script with `async def run`; its init() runs in the same loop, and may be asynchronous too."""

    def load_script(self) -> Script:
        """Import the script, or take the one that the master has preloaded, and call init() in the loop."""
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
        """Serve until a signal says stop, then finish the requests under way."""
        self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self.connections: set[Connection] = set()
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

    def clients(self) -> list[Any]:
        """List the sockets of the open connections."""
        return [connection.socket for connection in self.connections]

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
            await self.loop.connect_accepted_socket(lambda: Connection(self, received), client)
            # The loop turns once more before TAKEN: a run() that computes has the worker for itself.
            await asyncio.sleep(0)
        except OSError:
            client.close()
        finally:
            while not self.say_taken():
                await asyncio.sleep(RETRY_SECONDS)

    # Connections.

    def count_turn(self) -> int:
        """Give a number that the loop raises in its next turn: while it stays the same, the loop stands still."""
        turn = self.turn
        self.loop.call_soon(self._next_turn, turn)
        return turn

    def _next_turn(self, turn: int) -> None:
        self.turn = turn + 1

    async def score(self, call: Call, connection: Connection) -> bytes:
        """Run the script for a call that `Scorer.begin` did not answer.

        Returns:
            The answer; of an answer in parts its end, the rest is sent.
        """
        self.scorer.start(call)
        try:
            output = await self._timed(call, lambda: self.scorer.script.run(**call.arguments))
        except BaseException as error:  # a panic in an extension is no Exception
            return self.scorer.fail(call, error)
        answer = self.scorer.finish(call, output)
        return await self._stream(call, answer, connection) if isinstance(answer, Stream) else answer

    async def _stream(self, call: Call, stream: Stream, connection: Connection) -> bytes:
        """Send the parts of an answer as the script gives them, and give the bytes that end it."""
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
                connection.abandon()  # an orderly end of the connection would look like the answer's end
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
        expiry = self.loop.call_later(self.settings.scoring_seconds, _cancel, asyncio.current_task(), call)
        try:
            call.is_running = True
            try:
                return await function()
            finally:
                # From here on no time limit strikes: the answer follows.
                call.is_running = False
        except asyncio.CancelledError:
            if call.has_expired:
                raise ScoringTimeout from None
            raise
        finally:
            expiry.cancel()

    def may_interrupt(self) -> bool:
        """Tell whether a task runs: protocols run in the context of the call that made them, but in no task."""
        return asyncio.current_task() is not None

    def _expire(self) -> None:
        now = time.monotonic()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # it may just have been lost
                connection.expire(now)

    async def _drain(self) -> None:
        """Finish the requests under way, for GRACEFUL_TIMEOUT at most; give idle connections away, or end them."""
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


def _later(function: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """Make a function awaitable; it has the loop for itself while it runs."""

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
