"""The watch over a service that comes and goes, before a pretended Envoy."""

from __future__ import annotations

import contextlib
import threading
import time
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
def envoy(port: int, handler: type[Envoy] = Envoy) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), handler) as server:
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


def test_a_series_that_envoy_marks_as_unused_is_no_news_when_it_counts_again() -> None:
    """Envoy marks a series at each of its sweeps, until the next request; what it leaves out then comes back whole."""

    class Marking(Envoy):
        texts = iter(("1000", "1000", "1001"))
        looks = 0

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.path.startswith("/stats/prometheus?"):
                Marking.looks += 1
                count = next(self.texts)
                if self.looks != 2 or "usedonly" not in self.path:
                    name = "envoy_front_door_requests"
                    self.wfile.write(f'# TYPE {name} counter\n{name}{{client="a",status="200"}} {count}\n'.encode())

    (port,) = free_ports(1)
    watching = Watch(lambda: OpenDoor(port=1, statistics_port=port, serving=1))
    with envoy(port, Marking):
        before = time.monotonic()
        for _ in range(3):
            watching.look()
            time.sleep(0.1)
        seconds = time.monotonic() - before
    newest = watching.shown()["points"][-1]
    assert 0 < newest["requests"]["answered"] * seconds < 100


class Script(Envoy):
    """Answers at /metrics as an entry script does where there is no Triton."""

    def do_GET(self) -> None:
        if self.path.startswith("/stats/prometheus?"):
            super().do_GET()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"message": "scored"}')


def test_what_a_script_answers_in_place_of_triton_is_no_metrics() -> None:
    (port,) = free_ports(1)
    watching = Watch(lambda: OpenDoor(port=1, statistics_port=port, serving=1))
    with envoy(port, Script):
        watching.look()
    shown = watching.shown()
    assert (shown["models"], shown["problem"], len(shown["clients"])) == ([], "", 1)


def test_another_server_at_the_port_is_told() -> None:
    class Other(Envoy):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

    (port,) = free_ports(1)
    with (
        envoy(port, Other),
        pytest.raises(ServiceError, match=f"127.0.0.1:{port}/stats/prometheus answers with other than metrics"),
    ):
        Watch(lambda: OpenDoor(port=1, statistics_port=port, serving=1)).look()


@pytest.mark.parametrize("wrong", [OSError("no file"), KeyError("port"), ValueError()])
def test_whatever_goes_wrong_the_watch_tells_it_and_goes_on(monkeypatch: pytest.MonkeyPatch, wrong: Exception) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)
    (port,) = free_ports(1)
    broken = [wrong]

    def door() -> OpenDoor:
        if broken:
            raise broken[0]
        return OpenDoor(port=1, statistics_port=port, serving=1)

    watching = Watch(door)
    watching.start()
    try:
        eventually(lambda: "the metrics cannot be read: " + type(wrong).__name__ in watching.shown().get("problem", ""))
        broken.clear()
        with envoy(port):
            eventually(lambda: watching.shown()["problem"] == "")
    finally:
        watching.stop()


def test_a_front_door_that_is_closed_is_told_at_the_start() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ServiceError, match=f"metrics at http://127.0.0.1:{port} do not answer.*make up"):
        Watch(lambda: OpenDoor(port=1, statistics_port=port, serving=1)).look()
