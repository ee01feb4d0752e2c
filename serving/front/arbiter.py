"""The master process: Gunicorn's arbiter, which starts, watches and stops the workers and two companions.

    master ┬─ front          owns the port; see `admission`
           ├─ worker         runs the script; see `gevent_worker` and `asyncio_worker`
           ├─ worker
           └─ collector      writes a sample of requests and answers, with COLLECT_URL only; see `collector`

The master binds the port before anything else. The front process opens it once every worker's init() has returned.
When the master ends, the kernel kills the processes that are left.
"""

from __future__ import annotations

import resource
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger

from serving.collection import sampling as collection
from serving.flags import BAD_ARGUMENTS
from serving.front import channel
from serving.front.admission import Front
from serving.front.companion import Companion
from serving.front.scoreboard import Scoreboard
from serving.script import entry_script, preload
from serving.script.boot import BOOT_ERROR
from serving.settings import Settings
from serving.triton import wait as triton_wait

if TYPE_CHECKING:
    from serving.collection.collector import Collector

# The front process ends when GRACEFUL_TIMEOUT is over, and then still answers the clients that wait.
FRONT_STOP_SECONDS = 5.0
COLLECTOR_STOP_SECONDS = 30.0
_NO_EXIT_CODE = -1


class Application(BaseApplication):  # type: ignore[misc]
    """Gives Gunicorn its configuration, and a worker everything that it shares with the master."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.is_async = entry_script.is_async_source(entry_script.locate(settings))
        self.scoreboard = Scoreboard(settings.worker_count)
        self.rendezvous = channel.listen()
        self.preloaded: entry_script.Script | None = None
        if settings.collection is not None:
            self.records_source, self.records_sink = collection.channel()
        super().__init__()

    def load_config(self) -> None:
        """Give Gunicorn its settings, made from ours."""
        worker = "asyncio_worker.AsyncioWorker" if self.is_async else "gevent_worker.GeventWorker"
        for name, value in {
            "workers": self.settings.worker_count,
            "worker_class": f"serving.workers.{worker}",
            "timeout": self.settings.worker_timeout,
            "graceful_timeout": self.settings.graceful_timeout,
            "logger_class": _Logger,
            "control_socket_disable": True,
            "pre_fork": _claim_row,
            "child_exit": _release_row,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> None:
        """Load nothing: there is no WSGI application, and the workers load the script themselves."""


class ScriptArbiter(Arbiter):  # type: ignore[misc]
    """Gunicorn's arbiter with companions. Its `run()` ends with a SystemExit."""

    def __init__(self, settings: Settings) -> None:
        """Bind the port, and prepare the companions.

        Raises:
            OSError: the address cannot be bound.
            SettingsError: the settings of data collection cannot be used.
        """
        super().__init__(Application(settings))
        _raise_file_limit()
        ports = [settings.port] if settings.health_port is None else [settings.port, settings.health_port]
        self.LISTENERS = [_bind(settings.host, port) for port in ports]
        self._front = Companion("front", self._run_front)
        self._collector: Companion | None = None
        if settings.collection is not None:
            from serving.collection.collector import Collector

            app = self.app
            collector = Collector(settings, settings.collection, app.records_source, app.scoreboard.collector)
            self._collector = Companion("collector", lambda: self._collect(collector))

    @property
    def WORKER_BOOT_ERROR(self) -> int:
        """The exit code by which a worker ends the server; none once the port is open: a script may use it too."""
        return _NO_EXIT_CODE if self.app.scoreboard.opened else BOOT_ERROR

    @property
    def APP_LOAD_ERROR(self) -> int:
        """Gunicorn's other exit code by which a worker ends the server; none once the port is open."""
        return _NO_EXIT_CODE if self.app.scoreboard.opened else Arbiter.APP_LOAD_ERROR

    def start(self) -> None:
        """Wait for Triton, import the script where WORKER_PRELOAD says so, then go on as Gunicorn does."""
        settings = self.app.settings
        # The collector starts first: a preloaded script may change the standard library.
        if self._collector is not None:
            self._collector.keep_alive()
        triton_wait.wait(settings)
        if settings.preload:
            self.app.preloaded = preload.load(settings, self.app.is_async)
        super().start()

    def manage_workers(self) -> None:
        """Start the processes again that have died. Gunicorn calls this in every turn of its loop.

        Raises:
            HaltServer: the front process cannot open the port.
        """
        if self.app.scoreboard.is_refused:
            raise HaltServer("Cannot listen.", BAD_ARGUMENTS)
        self._front.keep_alive()
        if self._collector is not None:
            self._collector.keep_alive()
        super().manage_workers()

    def spawn_worker(self) -> Any:
        """Start a worker, unless so many old workers have still to end that the scoreboard is full."""
        if self.app.scoreboard.has_room:
            return super().spawn_worker()
        self.log.error("There is no room for another worker before others have ended.")
        return 0

    def stop(self, graceful: bool = True) -> None:
        """Stop the front process, which first hands over waiting connections; then the workers; then the collector."""
        seconds = self.app.settings.graceful_timeout
        started = time.monotonic()
        self.app.scoreboard.stop()
        self._front.stop(seconds + FRONT_STOP_SECONDS, signal.SIGTERM if graceful else signal.SIGKILL)
        # All processes share one GRACEFUL_TIMEOUT: the workers have gone on meanwhile.
        self.cfg.set("graceful_timeout", max(1, round(seconds - (time.monotonic() - started))))
        super().stop(graceful)
        if self._collector is not None:
            self.app.records_sink.close()
            self._collector.stop(COLLECTOR_STOP_SECONDS, None)

    def _run_front(self) -> None:
        Front(self.LISTENERS, self.app.rendezvous, self.app.scoreboard, self.app.settings).run()

    def _collect(self, collector: Collector) -> None:
        self.app.records_sink.close()
        collector.run()


class Listener(socket.socket):
    """A bound socket that Gunicorn's log names by its address."""

    def __str__(self) -> str:
        host, port, *_ = self.getsockname()
        return f"http://{host}:{port} once every worker is ready"


class _Logger(Logger):  # type: ignore[misc]
    """Gunicorn's logger, with the handlers that `logs` gives it."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers as they are."""
        self.loglevel = self.error_log.getEffectiveLevel()


def _raise_file_limit() -> None:
    """Allow as many open files as the machine does: each connection is one, in the front process or a worker."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bind(host: str, port: int) -> Listener:
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = Listener(address[0], socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address[4])
    return listener


def _claim_row(arbiter: ScriptArbiter, worker: Any) -> None:
    worker.row_index = arbiter.app.scoreboard.claim()


def _release_row(arbiter: ScriptArbiter, worker: Any) -> None:
    arbiter.app.scoreboard.release(worker.row_index)
