"""From one generation of servers to the next while clients hammer the front door: no request fails."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway import envoy_files, envoy_folder
from gateway.front_door_options import Triton, Upstreams
from tests.gateway.conftest import Gateway, Hammer, Upstream, running, triton_of, upstream
from tests.waiting import eventually


@dataclasses.dataclass
class Generations:
    """A front door that serves `old`, and the servers of the next generation."""

    gateway: Gateway
    old: Upstream
    new: Upstream

    def send(self, to: Upstream, draining: Upstream | None = None) -> None:
        rendered = envoy_files.render_endpoints(of(to), of(draining) if draining is not None else None)
        envoy_folder.replace(self.gateway.directory, rendered, self.gateway.admin)


def of(server: Upstream) -> Upstreams:
    return Upstreams(triton_of(server), server.address)


@pytest.fixture
def generations(tmp_path: Path) -> Iterator[Generations]:
    with upstream("old") as old, upstream("new") as new, running(tmp_path, of(old)) as gateway:
        yield Generations(gateway, old, new)


def test_traffic_moves_and_the_old_servers_stop_with_no_failed_request(generations: Generations) -> None:
    gateway, old, new = generations.gateway, generations.old, generations.new
    with Hammer(gateway, clients=16) as hammer:
        for _ in range(5):
            generations.send(new, draining=old)
            assert gateway.admin.await_idle(of(old), 10)
            generations.send(new)
            old.stop()
            before = hammer.servers[old.name]
            hammer.more(100)
            assert hammer.servers[old.name] == before
            old.start()
            old, new = new, old
    assert not hammer.failures
    assert hammer.reconnections == 0
    assert set(hammer.statuses) == {200}


def test_a_request_under_way_ends_on_the_old_servers(generations: Generations) -> None:
    gateway, old, new = generations.gateway, generations.old, generations.new
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(gateway.ask, "POST", "/score?wait", b"{}")
        eventually(lambda: old.waiting == 1)
        generations.send(new, draining=old)
        assert gateway.ask("POST", "/score", b"{}").json()["server"] == "new"
        assert gateway.admin.in_flight(of(old)) == 1
        assert not gateway.admin.await_idle(of(old), 0.2)
        old.let_go()
        assert slow.result(10).json()["server"] == "old"
    assert gateway.admin.await_idle(of(old), 10)


def test_a_stream_under_way_goes_on_while_the_traffic_moves(generations: Generations) -> None:
    gateway, old, new = generations.gateway, generations.old, generations.new
    with contextlib.closing(gateway.connect()) as connection:
        path = "/v2/models/digits/generate_stream?chunks=2"
        connection.request("POST", path, b"{}", {"Authorization": f"Bearer {gateway.keys.primary}"})
        stream = connection.getresponse()
        old.let_go()
        assert stream.readline() == b"chunk 0\n"
        generations.send(new, draining=old)
        old.let_go()
        assert stream.readline() == b"chunk 1\n"
        assert stream.read() == b""


def test_no_idle_connection_is_kept_to_servers_without_traffic(generations: Generations) -> None:
    gateway, old, new = generations.gateway, generations.old, generations.new
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: gateway.ask("POST", "/score", b"{}"), range(32)))
    assert old.connections > 0
    generations.send(new, draining=old)
    assert gateway.admin.await_idle(of(old), 10)
    generations.send(new)
    eventually(lambda: old.connections == 0)


def test_no_idle_connection_is_kept_to_a_server_that_the_next_generation_lacks(generations: Generations) -> None:
    gateway, old = generations.gateway, generations.old
    gateway.ask("GET", "/v2/health/ready")
    assert old.connections > 0
    scorer_alone = Upstreams(triton=None, scorer=generations.new.address)
    envoy_folder.replace(gateway.directory, envoy_files.render_endpoints(scorer_alone, draining=of(old)), gateway.admin)
    assert gateway.admin.await_idle(of(old), 10)
    envoy_folder.replace(gateway.directory, envoy_files.render_endpoints(scorer_alone, stopped=of(old)), gateway.admin)
    eventually(lambda: old.connections == 0)


def test_the_same_connection_of_a_client_goes_on_over_generations(generations: Generations) -> None:
    gateway = generations.gateway
    with contextlib.closing(gateway.connect()) as connection:
        servers = []
        for server in (generations.old, generations.new, generations.old):
            generations.send(server)
            servers.append(gateway.ask("POST", "/score", b"{}", connection=connection).json()["server"])
    assert servers == ["old", "new", "old"]


def test_a_service_gains_and_loses_its_entry_script_under_load(generations: Generations) -> None:
    gateway, old, new = generations.gateway, generations.old, generations.new
    triton_alone = dataclasses.replace(gateway.options, upstreams=Upstreams(triton_of(new)))
    both = dataclasses.replace(gateway.options, upstreams=of(old))
    keys = envoy_files.render_keys(gateway.keys)
    with Hammer(gateway, path="/v2/models/digits/infer") as hammer:
        for _ in range(3):
            changed = envoy_folder.install(gateway.directory, envoy_files.render(triton_alone) | keys, gateway.admin)
            assert "endpoints.scorer.json" in changed
            assert "bootstrap.json" not in changed
            assert gateway.ask("POST", "/score", b"{}").status == 404
            envoy_folder.install(gateway.directory, envoy_files.render(both) | keys, gateway.admin)
            assert gateway.ask("POST", "/score", b"{}").json()["server"] == "old"
            hammer.more(50)
    assert not hammer.failures
    assert set(hammer.statuses) == {200}


def test_a_new_generations_ports_may_be_the_old_ones(generations: Generations) -> None:
    generations.send(generations.old, draining=generations.old)
    assert generations.gateway.ask("POST", "/score", b"{}").json()["server"] == "old"


def test_upstreams_may_be_names(tmp_path: Path, scorer_echo: Upstream) -> None:
    named = dataclasses.replace(scorer_echo.address, host="localhost")
    triton = Triton(http=named, grpc=named, metrics=named)
    with running(tmp_path, Upstreams(triton, named), discovery="dns") as gateway:
        assert gateway.ask("POST", "/score", b"{}").json()["server"] == "scorer"
        assert not list(tmp_path.glob("endpoints.*"))


def test_a_drained_front_door_takes_no_connection_and_ends_the_open_requests(generations: Generations) -> None:
    gateway, old = generations.gateway, generations.old
    with ThreadPoolExecutor(2) as pool, contextlib.closing(gateway.connect()) as connection:
        assert gateway.ask("GET", "/", connection=connection).status == 200
        slow = pool.submit(gateway.ask, "POST", "/score?wait", b"{}")
        eventually(lambda: old.waiting == 1)
        assert not gateway.admin.drain(0.2)
        with pytest.raises(ConnectionError):
            gateway.connect()
        # a connection that was open is told to go elsewhere
        assert gateway.ask("GET", "/", connection=connection).headers["connection"] == "close"
        drained = pool.submit(gateway.admin.drain, 10)
        old.let_go()
        assert slow.result(10).status == 200
        assert drained.result(10)


def test_a_hammer_notices_a_generation_that_stops_too_early(generations: Generations) -> None:
    with Hammer(generations.gateway) as hammer:
        generations.old.stop()
        eventually(lambda: hammer.statuses.keys() != {200} or bool(hammer.failures))
