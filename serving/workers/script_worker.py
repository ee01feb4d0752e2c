"""The part that both kinds of worker share: a worker's start, its link to the front process, and its end."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import termios
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

from gunicorn.workers.base import Worker

from serving.collection.sampling import Sampler
from serving.front import channel
from serving.front.companion import die_with
from serving.front.scoreboard import Row
from serving.script import child_processes
from serving.script.boot import BOOT_ERROR, BootError
from serving.script.call import Call, current_call
from serving.script.entry_script import Script, ScriptError
from serving.script.scoring import Scorer, ScoringTimeout
from serving.settings import Settings

RESTART_SECONDS = 1.0
RECEIVE_BYTES = 65536
TICK_SECONDS = 1.0
# When calls of run() occupy the worker for this long on average, its other clients would wait.
BLOCKING_SECONDS = 0.005
BLOCKING_WEIGHT = 0.2


class ScriptWorker(Worker):  # type: ignore[misc]
    """A worker process that runs the entry script."""

    row_index: int
    scorer: Scorer
    link: socket.socket
    _blocking = 0.0
    _excess = 0

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        return self.app.settings  # type: ignore[no-any-return]

    @property
    def row(self) -> Row:
        """This worker's row of the scoreboard."""
        return self.app.scoreboard.row(self.row_index)  # type: ignore[no-any-return]

    def init_process(self) -> None:
        """Run in the new process, until its end."""
        die_with(self.ppid)
        super().init_process()
        signal.setitimer(signal.ITIMER_REAL, 0)  # nobody handles the signal while the interpreter ends

    def load_wsgi(self) -> None:
        """Import the script and call init().

        Raises:
            SystemExit: that failed; the status ends the server, or this worker alone once the port is open.
        """
        try:
            child_processes.part_from(self, self.own_descriptors)  # init() may start processes
            loaded = self.load_script()
            self.scorer = Scorer(loaded, self.settings, self.app.scoreboard, self.row, self._sampler())
        except ScriptError as error:
            if not isinstance(error, BootError):
                print(error, file=sys.stderr, flush=True)
            # When one of the first workers fails, the server ends. A later worker must not take the others along.
            if not self.app.scoreboard.opened:
                sys.exit(BOOT_ERROR)
            time.sleep(RESTART_SECONDS)
            sys.exit(1)

    def load_script(self) -> Script:
        """Import and initialise the script.

        Raises:
            BootError: that failed; the reason is printed.
        """
        raise NotImplementedError

    def _sampler(self) -> Sampler | None:
        wanted = self.settings.collection
        return None if wanted is None else Sampler(self.app.records_sink, self.row, wanted)

    def clients(self) -> list[Any]:
        """List the sockets of the open connections."""
        raise NotImplementedError

    def own_descriptors(self) -> list[int]:
        """List the files that a process of the script's must not hold open after a fork."""
        if not self.row.get("ready"):
            return []
        descriptors = [open_socket.fileno() for open_socket in (self.link, *self.clients())]
        return [descriptor for descriptor in descriptors if descriptor >= 0]

    def connect(self) -> None:
        """Connect to the front process and say that this worker is ready."""
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.connect(self.app.rendezvous.getsockname())
        channel.send(self.link, channel.HELLO + str(self.row_index).encode())
        self.link.setblocking(False)
        self.row.set("ready", 1.0)
        self.row.set("blocks", 1.0)

    def received(self) -> Iterator[tuple[int, float]]:
        """Receive the connections that the front process has sent.

        Yields:
            Each connection's file descriptor, and the time when its request came.

        Raises:
            EOFError: the front process is gone, or has nothing more to send.
        """
        while True:
            try:
                message, descriptor = channel.receive(self.link)
            except BlockingIOError:
                return
            except OSError:
                raise EOFError from None
            if descriptor is None:
                raise EOFError
            yield descriptor, struct.unpack("d", message[1:])[0]

    def awaits_front(self) -> bool:
        """Close the link after its end, and tell whether another front process follows: not when anything stops."""
        if self.alive:
            self.link.close()
        return bool(self.alive and not self.app.scoreboard.is_stopping)

    def say_taken(self) -> bool:
        """Tell the front process that a connection is taken and the loop turns; False where to try again."""
        try:
            channel.send(self.link, channel.TAKEN)
        except BlockingIOError:
            return False
        except OSError:
            pass  # the front process is gone, and its successor has sent nothing
        return True

    def has_blocked(self, call: Call, seconds: float) -> bool:
        """Note how long a call occupied the worker, and tell whether calls occupy it on average.

        The average moves: on a busy machine, any call may lose the processor for a moment. The front process reads the
        result in the scoreboard.

        Args:
            call: the call.
            seconds: how long it occupied the worker.
        """
        if call.started:
            self._blocking += BLOCKING_WEIGHT * (seconds - self._blocking)
            self.row.set("blocks", float(self._blocking > BLOCKING_SECONDS))
        return self._blocking > BLOCKING_SECONDS

    def watch_blocking_runs(self) -> None:
        """Interrupt a run() that computes beyond SCORING_TIMEOUT_MS; a loop's timers end only a run() that waits."""
        limit = self.settings.scoring_seconds

        def interrupt(_signal: int, _frame: FrameType | None) -> None:
            call = current_call.get()
            is_due = call is not None and call.is_running and time.perf_counter() - call.since > limit
            if is_due and self.may_interrupt():
                raise ScoringTimeout

        signal.signal(signal.SIGALRM, interrupt)
        interval = min(TICK_SECONDS, limit / 4)
        signal.setitimer(signal.ITIMER_REAL, interval, interval)

    def may_interrupt(self) -> bool:
        """Tell whether an interrupt now leaves nothing of the server's half done."""
        return True

    def count_excess(self) -> None:
        """Count the connections that this worker has beyond its share, once a tick; it gives these back."""
        counts = [row.get("connections") for row in self.app.scoreboard.rows() if row.get("ready")]
        share, own = sum(counts) / len(counts), self.row.get("connections")
        self._excess = int(own - share) if own > 1.25 * share + 4 else 0

    def should_give_back(self, call: Call, seconds: float) -> bool:
        """Tell whether another worker should have the connection of an answered call."""
        if self.has_blocked(call, seconds):
            return True
        self._excess -= self._excess > 0
        return self._excess > 0

    def give_back(self, connection: Any) -> bool:
        """Hand a connection between two requests to the front process.

        Returns:
            False where the front process is gone, or about to go.

        Raises:
            BlockingIOError: the channel is full for the moment.
        """
        if self.app.scoreboard.is_stopping:
            return False  # the link may lead to where nobody reads any more
        try:
            channel.send(self.link, channel.CONNECTION, connection.fileno())
        except BlockingIOError:
            raise
        except OSError:
            return False
        return True

    def may_be_closed(self, connection: Any) -> bool:
        """Tell whether a connection between two requests may end with the worker.

        While the server stops, no front process takes it, and its end would reset a request that has just come.
        """
        return not (self.app.scoreboard.is_stopping and has_unread(connection))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after the requests under way; at once while init() runs."""
        if not self.booted:
            os._exit(0)
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End at once."""
        os._exit(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Say where the script hangs, and end: WORKER_TIMEOUT is over."""
        print("WORKER_TIMEOUT: the script blocked its worker here:", file=sys.stderr)
        traceback.print_stack(frame, file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)

    def init_signals(self) -> None:
        """Set Gunicorn's signal handlers, but ignore SIGINT: a terminal sends it to all, and the master acts on it."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def has_unread(connection: Any) -> bool:
    """Tell whether the client has sent bytes that nobody has read."""
    return fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)) != bytes(4)


def unread_by(client: Any) -> int:
    """Count the bytes sent that the client's machine has not taken yet."""
    return int.from_bytes(fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def abandon(client: Any) -> None:
    """Make the connection's end drop the bytes that the client has not taken; the kernel would try for long."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
