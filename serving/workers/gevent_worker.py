"""The worker for a synchronous script: one greenlet per connection, all in one thread.

A run() that waits for Triton lets the others run, see `turns`. While a run() does anything else, it has the process to
itself, and the front process gives new work to other workers. In a thread pool, Python's threads would fight over the
interpreter, and `tritonclient.http`, which is made for gevent, would hang.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent
import gevent.event
import gevent.monkey
from gevent.socket import socket as GeventSocket

from serving.front import channel
from serving.http.http1 import CONTINUE, ProtocolError, RequestParser
from serving.http.stream import Stream, StreamBroken
from serving.script import child_processes
from serving.script.boot import boot
from serving.script.call import Call, current_call
from serving.script.entry_script import Script
from serving.script.scoring import ScoringTimeout
from serving.settings import Settings
from serving.workers import turns
from serving.workers.script_worker import BLOCKING_SECONDS, RECEIVE_BYTES, TICK_SECONDS, ScriptWorker, abandon
from serving.workers.sending import linger, send, send_at_once, send_slowly

logger = logging.getLogger("azmlinfsrv")

RETRY_SECONDS = 0.01
NEXT_TURN_SECONDS = 1e-9
HAND_OVER_TRIES = 50


def patch(settings: Settings) -> None:
    """Make the standard library's sockets, locks and threads work with gevent, before the script imports them."""
    if settings.monkey_patch:
        # Forks and signals stay Gunicorn's.
        gevent.monkey.patch_all(os=False, signal=False)
        child_processes.cooperate()


class _Leave(BaseException):
    """Ends a greenlet that waits for a request: the worker ends, or the client has been silent for too long."""

    def __init__(self, *, gives_back: bool) -> None:
        super().__init__()
        self.gives_back = gives_back


class _Connection:
    __slots__ = ("greenlet", "parser", "socket", "waits_since")

    def __init__(self, connection: GeventSocket, max_body: int) -> None:
        self.socket = connection
        self.parser = RequestParser(max_body)
        self.greenlet: Any = None
        self.waits_since = 0.0  # zero while run() is at it


class GeventWorker(ScriptWorker):
    """Runs a synchronous script."""

    _turns: turns.Turns | None = None
    # The run() that had the turn at the last look, with its time at Triton and the parts of its answer.
    _at_work: tuple[Call, float, int] | None = None

    def load_script(self) -> Script:
        """Import and initialise the script, or take the one that the master has preloaded."""
        if self.app.preloaded is not None:
            gevent.reinit()
            return self.app.preloaded  # type: ignore[no-any-return]
        patch(self.settings)
        return boot(self.settings, call_init=True)

    def run(self) -> None:
        """Serve until a signal says stop, then finish the requests under way."""
        self._connections: dict[int, _Connection] = {}
        self._begun = 0
        self._untaken = 0  # connections for which this worker has not said TAKEN yet
        self._wake = gevent.event.Event()
        self._seconds = self.settings.scoring_seconds
        self._keep_alive = self.settings.keep_alive
        self._loop = gevent.get_hub().loop
        self._run = self.scorer.script.run
        self._turns = self._make_turns()
        turns.use(self._turns)
        self.watch_blocking_runs()
        signals = self._loop.io(self.PIPE[0], 1)
        signals.start(self._on_signal)
        self._connect()
        while self.alive:
            if self._has_moved():
                self.notify()
            self._expire()
            self.count_excess()
            self._wake.wait(TICK_SECONDS)
        signals.stop()
        self._drain()

    def _has_moved(self) -> bool:
        """Tell whether the worker moves: it hangs where the same run() has the turn as at the last look.

        A run() that has waited for Triton meanwhile, and let others run, or has given a part of its answer, moves too.
        """
        before = self._at_work
        holder = self._turns.holder if self._turns is not None else None
        call = holder.gr_context.get(current_call) if holder is not None and holder.gr_context else None
        self._at_work = None if call is None else (call, call.triton_seconds, call.parts)
        return self._at_work is None or self._at_work != before

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Say where the script hangs, and end: where nothing computes, the run() with the turn waits."""
        holder = self._turns.holder if self._turns is not None else None
        if holder is not None and gevent.getcurrent() is gevent.get_hub():
            frame = holder.gr_frame
        super().handle_abort(sig, frame)

    def _make_turns(self) -> turns.Turns | None:
        wanted = self.settings.concurrent_runs
        if wanted is None and not self.settings.monkey_patch:
            wanted = "never"  # without the patches, a lock of the script's own would stop the whole process
        elif wanted is None and self.scorer.script.keeps_state:
            logger.info(
                "run() assigns to variables of its module, so that one runs at a time in each worker; "
                "CONCURRENT_RUNS=triton lets others run while one waits for Triton"
            )
            wanted = "never"
        if wanted == "always":
            return None
        return turns.Turns(self._say_all_taken, changes_at_triton=wanted != "never")

    def _on_signal(self) -> None:
        os.read(self.PIPE[0], 512)
        if not self.alive:
            self._wake.set()

    def clients(self) -> list[Any]:
        """List the sockets of the open connections."""
        return [connection.socket for connection in self._connections.values()]

    # The link to the front process.

    def _connect(self) -> None:
        self.connect()
        self._link_watcher = self._loop.io(self.link.fileno(), 1)
        self._link_watcher.start(self._on_link)

    def _on_link(self) -> None:
        try:
            for descriptor, received in self.received():
                self._serve_in_greenlet(GeventSocket(fileno=descriptor), received)
                self._untaken += 1
                # This runs after the greenlet has begun, and says nothing while a run() has the turn.
                self._loop.run_callback(self._say_all_taken)
        except EOFError:
            self._link_watcher.stop()
            if self.awaits_front():
                self._untaken = 0
                self._connect()

    def _say_all_taken(self) -> None:
        while self._untaken and (self._turns is None or self._turns.holder is None):
            if not self.say_taken():
                self._loop.timer(RETRY_SECONDS).start(self._say_all_taken)
                return
            self._untaken -= 1

    # Connections.

    def _serve_in_greenlet(self, client: GeventSocket, received: float) -> None:
        connection = _Connection(client, self.settings.max_request_bytes)
        self._connections[id(connection)] = connection
        self.row.set("connections", len(self._connections))
        connection.greenlet = gevent.spawn(self._serve, connection, received)

    def _serve(self, connection: _Connection, received: float) -> None:
        try:
            while self._turn(connection, received):
                received = 0.0
        except OSError:
            pass  # the client has gone
        except _Leave as leave:
            if leave.gives_back:
                self._hand_over(connection)
        finally:
            del self._connections[id(connection)]
            self.row.set("connections", len(self._connections))
            connection.socket.close()

    def _turn(self, connection: _Connection, received: float) -> bool:
        """Read, and answer the complete requests; tell whether the connection goes on here."""
        parser, client = connection.parser, connection.socket
        connection.waits_since = time.monotonic()
        data = client.recv(RECEIVE_BYTES)
        if not data:
            return False
        connection.waits_since = 0.0
        try:
            parser.feed(data)
        except ProtocolError as error:
            self._answer(connection, received)
            send(client, self.scorer.protocol_error(error), self._keep_alive)
            linger(client)
            return False
        if parser.continue_expected:
            parser.continue_expected = False
            send(client, CONTINUE, self._keep_alive)
        return self._answer(connection, received)

    def _answer(self, connection: _Connection, received: float) -> bool:
        """Answer all complete requests; tell whether the connection goes on here."""
        requests = connection.parser.requests
        while requests:
            request = requests.pop(0)
            call = Call(request)
            call.received = received or call.received
            received = 0.0
            self._begun += 1
            turn = (self._loop.iteration, self._begun)
            send(connection.socket, self._score(call, connection.socket), self._keep_alive)
            # The loop has turned, or other calls have begun meanwhile.
            has_turned = turn != (self._loop.iteration, self._begun)
            gives_back = self.should_give_back(call, self._seconds_alone(call, has_turned))
            if not call.keep_alive:
                linger(connection.socket)
                return False
            # This comes before the next run() has its turn, which may be a long one.
            if gives_back and not requests and connection.parser.is_idle:
                with contextlib.suppress(BlockingIOError):
                    return not self.give_back(connection.socket)
            if not has_turned:
                # The next request may be here already, but others come first. (sleep(0) would not look for them.)
                gevent.sleep(NEXT_TURN_SECONDS)
        return True

    def _seconds_alone(self, call: Call, has_turned: bool) -> float:
        if self._turns is None:
            return 0.0 if has_turned else time.perf_counter() - call.started
        if not call.triton_seconds or not self._turns.changes_at_triton:
            return call.run_seconds
        # A busy machine interrupts a call for longer once in a while: that alone does not make a script that blocks.
        return min(call.run_seconds - call.triton_seconds, 2 * BLOCKING_SECONDS)

    def _score(self, call: Call, client: GeventSocket) -> bytes:
        """Make the answer to a call; of an answer in parts this gives the end, and sends the rest."""
        answer = self.scorer.begin(call)
        if answer is not None:
            return answer
        try:
            if self._turns is not None and not self._turns.begin(self._seconds):
                return self.scorer.give_up(call)
            return self._run_script(call, client)
        finally:
            self.scorer.leave(call)
            if self._turns is not None:
                self._turns.end()

    def _run_script(self, call: Call, client: GeventSocket) -> bytes:
        self.scorer.start(call)
        try:
            output = self._timed(call, lambda: self._run(**call.arguments))
        except BaseException as error:  # a panic in an extension is no Exception
            return self.scorer.fail(call, error)
        answer = self.scorer.finish(call, output)
        return self._stream(call, answer, client) if isinstance(answer, Stream) else answer

    def _stream(self, call: Call, stream: Stream, client: GeventSocket) -> bytes:
        """Send the parts of an answer as the script gives them, and give the bytes that end it."""
        try:
            while True:
                try:
                    part = self._timed(call, stream.next)
                except BaseException as error:
                    return self.scorer.break_off(call, stream, error)
                call.parts += 1
                framed = self.scorer.send_part(call, stream, part)
                if part is None:
                    return framed
                self._send_part(call, client, framed)
        except StreamBroken:
            if not stream.is_chunked:
                abandon(client)  # an orderly end of the connection would look like the answer's end
            raise
        finally:
            try:
                self._timed(call, stream.close)
            except BaseException:
                logger.exception("The generator of an answer failed when it was closed")
            self.scorer.end_stream(call)

    def _send_part(self, call: Call, client: GeventSocket, part: bytes) -> None:
        """Send a part; while the client takes nothing, others run."""
        started = time.perf_counter()
        rest = send_at_once(client, part)
        if rest:
            has_left = self._turns is not None and self._turns.leave()
            try:
                send_slowly(client, rest, self._keep_alive)
            finally:
                if has_left and self._turns is not None:
                    self._turns.come_back()
        call.away_seconds += time.perf_counter() - started

    def _timed(self, call: Call, function: Callable[[], Any]) -> Any:
        """Call the script, for SCORING_TIMEOUT_MS at most."""
        timer = gevent.Timeout(self._seconds, ScoringTimeout())
        call.since = time.perf_counter()
        try:
            timer.start()
            try:
                call.is_running = True
                return function()
            finally:
                # From here on no time limit strikes: the answer follows.
                call.is_running = False
                timer.close()
        except BaseException:
            timer.close()  # the signal may have struck just before it was closed above
            raise

    def _expire(self) -> None:
        """Close connections whose client has been silent for KEEP_ALIVE seconds."""
        before = time.monotonic() - self._keep_alive
        for connection in list(self._connections.values()):
            if connection.waits_since and connection.waits_since < before:
                self._loop.run_callback(self._interrupt, connection, _Leave(gives_back=False))

    def _interrupt(self, connection: _Connection, leave: _Leave) -> None:
        """End a greenlet that waits. This runs in the hub: nobody begins to read between the look and the throw."""
        may_leave = not leave.gives_back or (connection.parser.is_idle and self.may_be_closed(connection.socket))
        if connection.waits_since and may_leave:
            connection.greenlet.throw(leave)

    def _hand_over(self, connection: _Connection) -> None:
        """Give the connection to the front process; its channel may be full for a moment."""
        for _ in range(HAND_OVER_TRIES):
            try:
                self.give_back(connection.socket)
            except BlockingIOError:
                gevent.sleep(RETRY_SECONDS)
            else:
                return

    def _drain(self) -> None:
        """Finish the requests under way, for GRACEFUL_TIMEOUT at most; give idle connections away, or end them."""
        deadline = time.monotonic() + self.settings.graceful_timeout
        self.scorer.keeps_connections = False
        with contextlib.suppress(OSError):  # the front process has ended already
            channel.send(self.link, channel.QUIT)
        while time.monotonic() < deadline:
            for connection in self._connections.values():
                self._loop.run_callback(self._interrupt, connection, _Leave(gives_back=True))
            gevent.sleep(RETRY_SECONDS)
            if not self._connections:
                return

    def may_interrupt(self) -> bool:
        """Tell whether the current call has the turn: without it, it waits for Triton, and gevent's timer strikes."""
        return self._turns is None or self._turns.is_own
