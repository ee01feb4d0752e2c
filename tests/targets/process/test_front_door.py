"""The front door of a service: opened, changed and closed around generations of real servers, under real requests."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest

from gateway.keys import make_key
from settings.service_groups import Limits, Opening, Resources
from targets.errors import ServiceError
from targets.machine.ports import free_ports, is_listening
from targets.machine.specification import FrontDoorSpec
from targets.process import front_door, traffic
from targets.process.service_folder import ServiceDirectory
from tests.targets.process.conftest import OWNER, Service
from tests.targets.process.test_rollout import answering
from tests.waiting import eventually

KEY = make_key()


class Door:
    """The front door of a service, on a free port."""

    def __init__(self, service: Service) -> None:
        self.service = service
        (self.port,) = free_ports(1)
        self.second_key = make_key()

    def open(self, **changes: Any) -> int:
        values = {
            "service_name": "web",
            "owner": "o",
            "shape": ("triton",),
            "state_directory": self.service.folder / "state",
            "opening": Opening(port=self.port),
            "limits": Limits(),
            "resources": Resources(),
            "primary_key": KEY,
            "secondary_key": self.second_key,
        }
        return front_door.apply(FrontDoorSpec(**{**values, **changes}))

    @property
    def pid(self) -> int:
        return self.service.supervisor.processes()["envoy"].pid

    def ask(self, key: str = KEY) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(f"http://127.0.0.1:{self.port}/score", json={}, headers=headers, timeout=30)

    @contextmanager
    def hammered(self, pause: float = 0.01) -> Iterator[list[str]]:
        """Answers of a client that pauses for seconds after each, and leaves the servers most of the processors."""
        answers: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            headers = {"Authorization": f"Bearer {KEY}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30) as client:
                while not stop.wait(pause):
                    try:
                        answers.append(client.post("/score", json={}).text)
                    except httpx.HTTPError as error:
                        answers.append(repr(error))

        client = threading.Thread(target=ask)
        client.start()
        try:
            eventually(lambda: len(answers) > 10)
            yield answers
            seen = len(answers)
            eventually(lambda: len(answers) > seen + 10)
        finally:
            stop.set()
            client.join(40)


@pytest.fixture
def door(service: Service) -> Door:
    """An open door to a generation that answers "one"."""
    service.up(answering("one"))
    door = Door(service)
    door.open()
    return door


def test_a_door_opens_with_keys_and_metrics_and_stays_as_it_is(door: Door) -> None:
    metrics, pid = door.open(), door.pid
    assert (door.ask().text, door.ask(make_key()).status_code) == ('"one"', 401)
    assert "envoy_" in httpx.get(f"http://127.0.0.1:{metrics}/stats/prometheus").text
    assert (door.open(), door.pid) == (metrics, pid)


def test_each_request_has_a_line_with_its_generation_in_a_log_of_its_own(door: Door) -> None:
    quiet = door.service.directory.access_log
    assert door.ask().text == '"one"'
    door.open(opening=Opening(port=door.port, access_log=True))
    assert not quiet.is_file() or quiet.read_text() == ""
    door.ask()
    door.service.up(answering("two"))
    assert (door.ask().text, door.ask(make_key()).status_code) == ('"two"', 401)
    log = door.service.directory.access_log
    eventually(lambda: log.is_file() and log.read_text().count("\n") == 3)
    lines = sorted((json.loads(line) for line in log.read_text().splitlines()), key=lambda line: line["time"])
    assert [(line["status"], line["client"], line["generation"]) for line in lines] == [
        (200, "default", "1"),
        (200, "default", "2"),
        (401, "", None),
    ]
    assert '"requestId"' not in door.service.directory.envoy_log.read_text()
    pid = door.pid
    door.open(opening=Opening(port=door.port, access_log=False))
    assert (door.ask().text, door.pid) == ('"two"', pid)
    assert log.read_text().count("\n") == 3


def test_changed_keys_and_limits_are_taken_without_a_restart_and_without_a_failed_request(door: Door) -> None:
    pid, old_key = door.pid, door.second_key
    with door.hammered() as answers:
        door.second_key = make_key()
        door.open()
        assert (door.ask(door.second_key).status_code, door.ask(old_key).status_code) == (200, 401)
        door.open(limits=Limits(max_request_megabytes=1, scoring_timeout_ms=5000))
    assert set(answers) == {'"one"'}
    assert door.pid == pid


def test_a_door_with_more_processors_is_opened_anew(door: Door) -> None:
    pid = door.pid
    door.open(resources=Resources(cpu_cores=2))
    assert door.pid != pid or os.cpu_count() == 1
    assert door.ask().text == '"one"'


def test_a_door_moves_to_another_port(door: Door) -> None:
    old = door.port
    (door.port,) = free_ports(1)
    door.open()
    assert door.ask().text == '"one"'
    assert not is_listening(old)


def test_a_taken_port_is_named_with_who_holds_it(door: Door) -> None:
    front_door.remove(door.service.folder / "state", "web", OWNER)
    with socket.create_server(("127.0.0.1", door.port)):
        holder = rf"process {os.getpid()} \({psutil.Process().name()}\)"
        with pytest.raises(
            ServiceError, match=rf"deployment\.port {door.port} is taken by {holder}; stop it, or choose"
        ):
            door.open()
    door.open()
    assert door.ask().text == '"one"'


def test_metrics_have_the_port_that_is_set(door: Door) -> None:
    (wanted,) = free_ports(1)
    assert door.open(opening=Opening(port=door.port, metrics_port=wanted)) == wanted
    assert httpx.get(f"http://127.0.0.1:{wanted}/metrics").status_code == 200
    pid = door.pid
    assert door.open(opening=Opening(port=door.port, metrics_port=wanted)) == wanted
    assert door.pid == pid
    door.service.supervisor.remove("envoy")
    assert door.open(opening=Opening(port=door.port, metrics_port=wanted)) == wanted


def test_a_taken_port_of_the_metrics_is_named_with_who_holds_it(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"deployment\.metricsPort {port} is taken by process {os.getpid()} "):
            door.open(opening=Opening(port=door.port, metrics_port=port))
    assert door.ask().text == '"one"'


def test_a_killed_envoy_comes_back(door: Door) -> None:
    pid = door.pid
    eventually(lambda: door.service.supervisor.processes()["envoy"].state == "RUNNING")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: door.pid not in (0, pid) and front_door.measure(door.service.directory).state == "Healthy")
    assert door.ask().text == '"one"'


def test_metrics_move_where_their_port_was_taken_meanwhile(door: Door) -> None:
    metrics = door.open()
    door.service.supervisor.remove("envoy")
    with socket.create_server(("127.0.0.1", metrics)):
        assert door.open() != metrics
        assert door.ask().text == '"one"'


def test_a_new_generation_gets_the_traffic_with_no_failed_request(door: Door) -> None:
    with door.hammered() as answers:
        for word in ("two", "three"):
            door.service.up(answering(word))
            assert door.ask().text == f'"{word}"'
    assert set(answers) == {'"one"', '"two"', '"three"'}


def test_a_request_under_way_ends_on_the_generation_it_came_to(door: Door) -> None:
    gate = door.service.folder / "gate"
    waiting = f"open({str(gate)!r}, 'w'); time.sleep(3); return 'slow'"
    door.service.up(f"import time\ndef init(): pass\ndef run(data): {waiting}\n")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(door.ask)
        eventually(gate.exists)
        door.service.up(answering("quick"))
        assert (slow.result(10).text, door.ask().text) == ('"slow"', '"quick"')


def test_traffic_that_a_killed_rollout_sent_ahead_is_brought_back_before_its_generation_goes(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: Callable[..., None] = traffic.send_to

    def killed_after(directory: ServiceDirectory, generation: Any, **draining: Any) -> None:
        sent(directory, generation, **draining)
        if draining:
            raise KeyboardInterrupt

    monkeypatch.setattr(traffic, "send_to", killed_after)
    with pytest.raises(KeyboardInterrupt):
        door.service.up(answering("two"))
    monkeypatch.undo()
    assert door.ask().text == '"two"'
    with door.hammered() as answers:
        door.service.up(answering("three"))
    assert set(answers) == {'"two"', '"one"', '"three"'}


def test_a_door_needs_a_service_and_leaves_nothing_when_it_is_closed(door: Door) -> None:
    front_door.remove(door.service.folder / "state", "web", OWNER)
    assert not is_listening(door.port)
    assert door.service.score() == '"one"'
    assert list(door.service.directory.envoy.iterdir()) == []
    with pytest.raises(ServiceError, match="service 'other' does not run; there is nothing to open a door to"):
        door.open(service_name="other")


@pytest.mark.parametrize(("files", "connections"), [(1024, 384), (10_000, 4872), (10**6, 16384), (300, 22), (100, 16)])
def test_envoy_takes_no_more_clients_than_it_has_files_for(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    monkeypatch.setattr(front_door.resource, "getrlimit", lambda _: (256, files))
    assert front_door._most_connections() == connections


def test_pages_of_allowed_origins_may_call_the_service(door: Door) -> None:
    door.open(cors_origins=("https://www.example.com",))
    asked = {"Origin": "https://www.example.com", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"http://127.0.0.1:{door.port}/score", headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://www.example.com")


def test_envoys_memory_is_bounded(door: Door) -> None:
    folder = ServiceDirectory.of(door.service.folder / "state", "web").envoy
    launch = json.loads((folder / front_door.LAUNCH).read_text())
    assert launch["memoryMb"] == 1024
    [envoy] = psutil.Process(door.pid).children()
    assert envoy.name() == "envoy"
