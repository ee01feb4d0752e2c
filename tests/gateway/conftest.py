"""A real Envoy in front of small real servers, and clients that show what happens on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway import envoy_command, envoy_files, envoy_folder
from gateway.admin import Admin
from gateway.front_door_options import Address, Options, Triton, Upstreams, loopback
from gateway.keys import Keys, make_key
from targets.machine.ports import free_ports
from tests.waiting import eventually


class Upstream:
    """An HTTP server that answers what it was asked, as JSON, and counts its requests and open connections.

    A request to `?wait` is held until `release` is set; `?chunks=N` streams N chunks, one for each `release`.
    """

    def __init__(self, name: str = "upstream") -> None:
        self.name = name
        self.requests = 0
        self.waiting = 0
        self.port = free_ports(1)[0]
        self._loop = asyncio.new_event_loop()
        self.release = asyncio.Event()
        self._runner: web.ServerRunner | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.start()

    @property
    def address(self) -> Address:
        return loopback(self.port)

    @property
    def connections(self) -> int:
        assert self._runner is not None
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    def start(self) -> None:
        self._run(self._start())

    def stop(self) -> None:
        if self._runner is not None:
            self._run(self._runner.cleanup())
            self._runner = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def let_go(self) -> None:
        self._loop.call_soon_threadsafe(self.release.set)

    def hold(self) -> None:
        self._loop.call_soon_threadsafe(self.release.clear)

    async def _start(self) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, handler_cancellation=True), shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=2048).start()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        body = await request.content.read()  # aiohttp's own limit of bodies aside
        if "wait" in request.query:
            self.waiting += 1
            try:
                await self.release.wait()
            finally:
                self.waiting -= 1
        if "chunks" in request.query:
            stream = web.StreamResponse()
            await stream.prepare(request)
            for number in range(int(request.query["chunks"])):
                await self.release.wait()
                self.release.clear()
                await stream.write(f"chunk {number}\n".encode())
            return stream
        answer = {
            "server": self.name,
            "method": request.method,
            "path": request.raw_path,
            "headers": {key.lower(): value for key, value in request.headers.items()},
            "bytes": len(body),
        }
        return web.json_response(answer)

    def _run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """A running Envoy and what it was started with."""

    options: Options
    keys: Keys
    admin: Admin
    process: subprocess.Popen[bytes]
    directory: Path
    access_log: Path
    log: Path
    client_keys: dict[str, Keys] = field(default_factory=dict)

    def connect(self, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """A connection that is never opened again once it was closed."""
        address = self.options.listen
        if tls is None:
            connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
        else:
            connection = http.client.HTTPSConnection(address.host, address.port, timeout=10, context=tls)
        connection.connect()
        connection.auto_open = 0
        return connection

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = "",
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Ask with the primary key, `key`, or none (None); the path goes out exactly as given."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key or self.keys.primary}"
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connect()))
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )

    def stats(self, path: str, method: str = "GET") -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.options.stats.port, timeout=10)) as client:
            client.request(method, path)
            response = client.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.access_log.read_text().splitlines()]


@dataclass
class Hammer:
    """Clients that ask again and again, each on one connection as long as the front door keeps it open."""

    gateway: Gateway
    path: str = "/score"
    clients: int = 8
    key: str = ""
    statuses: Counter[int] = field(default_factory=Counter)
    servers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    reconnections: int = 0

    def __enter__(self) -> Hammer:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)
            assert not thread.is_alive()

    @property
    def answers(self) -> int:
        return self.statuses.total()

    def more(self, count: int = 200) -> None:
        """Wait for `count` more answers, or a failure."""
        goal = self.answers + count
        eventually(lambda: self.answers >= goal or bool(self.failures))

    def _run(self) -> None:
        try:
            with contextlib.closing(self.gateway.connect()) as connection:
                deadline = time.monotonic() + 30
                while not self._stop.is_set() and time.monotonic() < deadline:
                    if connection.sock is None:  # closed after the last answer, which said so
                        self.reconnections += 1
                        connection.connect()
                    answer = self.gateway.ask("POST", self.path, b"{}", key=self.key, connection=connection)
                    if answer.status == 200:
                        self.servers[answer.json()["server"]] += 1
                    self.statuses[answer.status] += 1
        except Exception as error:
            self.failures.append(repr(error))


def made_keys() -> Keys:
    """Two new keys."""
    return Keys(make_key(), make_key())


@contextlib.contextmanager
def running(
    directory: Path,
    upstreams: Upstreams,
    *,
    concurrency: int = 2,
    rewritten: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Gateway]:
    """Envoy with these upstreams, on free ports; `rewritten` files take the place of rendered ones."""
    listen, stats = map(loopback, free_ports(2))
    options = Options(upstreams, str(directory), **{"listen": listen, "stats": stats, "access_log": True} | settings)
    keys, client_keys = made_keys(), {client.name: made_keys() for client in options.clients if client.has_keys}
    rendered = envoy_files.render(options)
    if options.auth_enabled:
        rendered |= envoy_files.render_keys(keys, options.clients, client_keys)
    envoy_folder.install(directory, rendered | dict(rewritten or {}))
    access_log, log = directory / "access.log", directory / "envoy.log"
    with access_log.open("wb") as stdout, log.open("wb") as stderr:
        arguments = envoy_command.command(f"{directory}/bootstrap.json", concurrency=concurrency)
        arguments[arguments.index("--file-flush-interval-msec") + 1] = "20"
        admin = Admin(options.admin_socket, log)
        process = subprocess.Popen(arguments, stdout=stdout, stderr=stderr)
    try:
        admin.await_ready(30)
        yield Gateway(options, keys, admin, process, directory, access_log, log, client_keys)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def upstream(name: str = "upstream") -> Iterator[Upstream]:
    server = Upstream(name)
    try:
        yield server
    finally:
        server.close()


def triton_of(server: Upstream) -> Triton:
    return Triton(http=server.address, grpc=server.address, metrics=server.address)


@pytest.fixture(scope="session")
def echo() -> Iterator[Upstream]:
    with upstream("triton") as server:
        yield server


@pytest.fixture(scope="session")
def scorer_echo() -> Iterator[Upstream]:
    with upstream("scorer") as server:
        yield server


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    """Triton with an entry script, behind keys. Shared: tests must not change its files."""
    with running(tmp_path_factory.mktemp("both"), Upstreams(triton_of(echo), scorer_echo.address)) as started:
        yield started
