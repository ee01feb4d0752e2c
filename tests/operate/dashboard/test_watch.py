"""The watch over a service that comes and goes, before a pretended Envoy."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from operate.dashboard import watch
from operate.dashboard.watch import Watch
from targets.contract import OpenDoor
from targets.errors import ServiceError
from targets.machine.ports import free_ports
from tests.waiting import eventually


class Envoy(BaseHTTPRequestHandler):
    """Counts ten requests more each time; without Triton behind it."""

    requests = 0

    def do_GET(self) -> None:
        served = self.path.startswith("/stats/prometheus?")
        if served:
            Envoy.requests += 10
        name = "envoy_front_door_requests"
        text = f'# TYPE {name} counter\n{name}{{client="a",status="200"}} {self.requests}\n'
        self.send_response(200 if served else 503)
        self.end_headers()
        self.wfile.write(text.encode() if served else b"no healthy upstream")

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def envoy(port: int) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), Envoy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_it_tells_of_a_service_that_does_not_answer_and_goes_on_when_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)
    first, second = free_ports(2)
    doors = [OpenDoor(port=1, statistics_port=first, serving=3)]
    watching = Watch(lambda: doors[0])
    try:
        with envoy(first):
            watching.look()
            watching.start()
            eventually(lambda: len(watching.shown()["points"]) > 3)
            shown = watching.shown()
            assert (shown["serving"], shown["problem"], shown["models"]) == (3, "", [])
            (client,) = shown["clients"]
            assert client["answered"] > 0
            assert [point["requests"]["answered"] > 0 for point in shown["points"]][1:4] == [True] * 3
        eventually(lambda: f"metrics at http://127.0.0.1:{first} do not answer" in watching.shown()["problem"])
        assert watching.shown()["clients"]  # what was seen last stays
        with envoy(second):
            doors[0] = OpenDoor(port=1, statistics_port=second, serving=4, shares=("generation 4 has 100 %",))
            eventually(lambda: watching.shown()["problem"] == "")
            assert (watching.shown()["serving"], watching.shown()["shares"]) == (4, ("generation 4 has 100 %",))
    finally:
        watching.stop()


def test_a_front_door_that_is_closed_is_told_at_the_start() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ServiceError, match=f"metrics at http://127.0.0.1:{port} do not answer.*make up"):
        Watch(lambda: OpenDoor(port=1, statistics_port=port, serving=1)).look()
