"""Shares of traffic for a candidate: weights and copies, changed while clients hammer the front door."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from gateway import envoy_files, envoy_folder
from gateway.front_door_options import MIRRORED, Candidate, Options, Triton, Upstreams, loopback
from tests.gateway.conftest import Gateway, Hammer, Upstream, running, triton_of, upstream
from tests.waiting import eventually

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
READY = "/inference.GRPCInferenceService/ServerReady"


class Grpc(grpc.GenericRpcHandler):
    """A gRPC server that answers each message with its own name."""

    def __init__(self, name: str) -> None:
        self.name, self.calls = name.encode(), 0
        self.server = grpc.server(ThreadPoolExecutor(8), handlers=[self])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def unary(_request: bytes, _context: grpc.ServicerContext) -> bytes:
            self.calls += 1
            return self.name

        def stream(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
            self.calls += 1
            for _ in requests:
                yield self.name

        if details.method == STREAM:
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


@dataclasses.dataclass
class Shares:
    gateway: Gateway
    old: Upstream
    new: Upstream
    old_grpc: Grpc
    new_grpc: Grpc

    def options(self, **share: int) -> Options:
        upstreams = of(self.new, self.new_grpc)
        return dataclasses.replace(self.gateway.options, candidate=Candidate(upstreams, **share))

    def set(self, **share: int) -> None:
        routes = envoy_files.render_routes(self.options(**share))
        assert envoy_folder.replace(self.gateway.directory, routes, self.gateway.admin) == ["routes.json"]
        time.sleep(0.1)  # workers learn of routes a moment after the main thread

    def install(self, options: Options) -> list[str]:
        files = envoy_files.render(options) | envoy_files.render_keys(self.gateway.keys)
        return envoy_folder.install(self.gateway.directory, files, self.gateway.admin)


def of(server: Upstream, inference: Grpc) -> Upstreams:
    triton = Triton(http=server.address, grpc=loopback(inference.port), metrics=server.address)
    return Upstreams(triton, server.address)


@pytest.fixture
def shares(tmp_path: Path) -> Iterator[Shares]:
    old_grpc, new_grpc = Grpc("old"), Grpc("new")
    with upstream("old") as old, upstream("new") as new, running(tmp_path, of(old, old_grpc)) as gateway:
        started = Shares(gateway, old, new, old_grpc, new_grpc)
        changed = started.install(started.options())
        assert "routes.json" not in changed
        assert "bootstrap.json" not in changed
        yield started
    for server in (old_grpc, new_grpc):
        server.server.stop(0).wait(5)


def counted(gateway: Gateway, path: str, requests: int) -> Counter[str]:
    """Ask on four connections, and count who answers."""

    def ask(_: int) -> list[str]:
        with contextlib.closing(gateway.connect()) as connection:
            asked = (gateway.ask("POST", path, b"{}", connection=connection) for _ in range(requests // 4))
            return [answer.json()["server"] for answer in asked]

    with ThreadPoolExecutor(4) as pool:
        return Counter(name for names in pool.map(ask, range(4)) for name in names)


def enough_for(weight: int) -> int:
    """How many requests tell a weight to three percent: so many that these are four standard deviations."""
    return 2 * weight * (100 - weight)


@contextlib.contextmanager
def channel(gateway: Gateway) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{gateway.options.listen.port}") as opened:
        yield opened


def key(gateway: Gateway) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {gateway.keys.primary}")]


@pytest.mark.parametrize("weight", [10, 50])
def test_a_weight_is_the_share_of_requests_on_kept_connections(shares: Shares, weight: int) -> None:
    shares.set(weight=weight)
    requests = enough_for(weight)
    for path in ("/score", "/v2/models/digits/infer"):
        servers = counted(shares.gateway, path, requests)
        assert servers.total() == requests
        assert 100 * servers["new"] / requests == pytest.approx(weight, abs=3)


@pytest.mark.parametrize("weight", [10, 50])
def test_each_call_on_one_grpc_connection_is_weighted(shares: Shares, weight: int) -> None:
    with channel(shares.gateway) as opened:
        infer = opened.unary_unary(INFER)
        assert infer(b"{}", metadata=key(shares.gateway)) == b"old"
        shares.set(weight=weight)
        requests = enough_for(weight)
        answers = Counter(infer(b"{}", metadata=key(shares.gateway)) for _ in range(requests))
        assert 100 * answers[b"new"] / requests == pytest.approx(weight, abs=3)
        ready = opened.unary_unary(READY)
        assert {ready(b"", metadata=key(shares.gateway)) for _ in range(30)} == {b"old"}


def test_health_and_metadata_stay_with_the_serving_generation(shares: Shares) -> None:
    shares.set(weight=100)
    paths = ("/", "/swagger.json", "/v2", "/v2/health/ready", "/v2/models/digits", "/v2/models/digits/stats")
    assert {shares.gateway.ask("GET", path).json()["server"] for path in paths} == {"old"}
    assert shares.gateway.ask("POST", "/score", b"{}").json()["server"] == "new"


def test_weights_change_under_load_and_the_candidate_is_promoted_with_no_failed_request(shares: Shares) -> None:
    gateway = shares.gateway
    with Hammer(gateway) as hammer, Hammer(gateway, path="/v2/models/digits/infer") as infer:
        for share in ({"weight": 10}, {"mirror": 50}, {"weight": 50}, {"weight": 0}, {"weight": 100}):
            shares.set(**share)
            hammer.more(100)
        new, old = of(shares.new, shares.new_grpc), of(shares.old, shares.old_grpc)
        endpoints = envoy_files.render_endpoints(new, draining=old, candidate=shares.options().candidate)
        envoy_folder.replace(gateway.directory, endpoints, gateway.admin)
        changed = shares.install(dataclasses.replace(gateway.options, upstreams=new))
        assert {"routes.json", "clusters.json", "endpoints.triton-candidate.json"} <= set(changed)
        time.sleep(0.2)
        before = shares.old.requests
        hammer.more(200)
        assert shares.old.requests == before
    for one in (hammer, infer):
        assert not one.failures
        assert one.reconnections == 0
        assert set(one.statuses) == {200}


def test_the_candidate_loses_its_share_within_two_seconds(shares: Shares) -> None:
    shares.set(weight=50)
    with Hammer(shares.gateway, clients=4) as hammer:
        started = time.monotonic()
        envoy_folder.replace(
            shares.gateway.directory, envoy_files.render_routes(shares.options()), shares.gateway.admin
        )
        last, seen = time.monotonic(), shares.new.requests
        while time.monotonic() < started + 2:
            if shares.new.requests != seen:
                last, seen = time.monotonic(), shares.new.requests
            time.sleep(0.01)
        assert last - started < 1
    assert not hammer.failures
    assert set(hammer.statuses) == {200}


def test_streams_end_where_they_began_even_when_the_candidate_leaves(shares: Shares) -> None:
    gateway, new = shares.gateway, shares.new
    shares.set(weight=100)
    with contextlib.closing(gateway.connect()) as connection, channel(gateway) as opened:
        path = "/v2/models/digits/generate_stream?chunks=3"
        connection.request("POST", path, b"{}", {"Authorization": f"Bearer {gateway.keys.primary}"})
        stream = connection.getresponse()
        new.let_go()
        assert stream.readline() == b"chunk 0\n"
        sent: list[bytes] = [b"1"]
        more = iter(lambda: sent.pop() if sent else time.sleep(0.02) or b"", b"end")
        calls = opened.stream_stream(STREAM)((one for one in more if one), metadata=key(gateway))
        assert next(calls) == b"new"
        shares.set(weight=0)
        assert gateway.ask("POST", "/score", b"{}").json()["server"] == "old"
        assert gateway.admin.in_flight(of(new, shares.new_grpc)) == 2
        sent.append(b"2")
        assert next(calls) == b"new"
        shares.install(gateway.options)  # without the candidate
        time.sleep(0.3)
        for number in (1, 2):
            new.let_go()
            assert stream.readline() == b"chunk %d\n" % number
        sent.append(b"3")
        assert next(calls) == b"new"
        sent.append(b"end")
        assert list(calls) == []


def test_copies_reach_the_candidate_marked_and_the_serving_generation_answers(shares: Shares) -> None:
    gateway = shares.gateway
    shares.set(mirror=20)
    assert counted(gateway, "/score", 5000) == {"old": 5000}
    eventually(lambda: shares.new.requests / 50 == pytest.approx(20, abs=3))
    with channel(gateway) as opened:
        infer = opened.unary_unary(INFER)
        assert {infer(b"{}", metadata=key(gateway)) for _ in range(1000)} == {b"old"}
        eventually(lambda: shares.new_grpc.calls / 10 == pytest.approx(20, abs=5))
        shares.set(mirror=100)
        before = shares.new_grpc.calls
        assert list(opened.stream_stream(STREAM)(iter([b"1", b"2"]), metadata=key(gateway))) == [b"old"] * 2
        eventually(lambda: len(gateway.log_lines()) == 6001)
        assert shares.new_grpc.calls == before  # a stream has no copy
    assert not [line for line in gateway.log_lines() if line["upstream"] == f"127.0.0.1:{shares.new.port}"]


def test_no_client_can_mark_its_request_as_a_copy(shares: Shares) -> None:
    answer = shares.gateway.ask("POST", "/score", b"{}", headers={MIRRORED: "1"})
    assert MIRRORED not in answer.json()["headers"]


def test_a_copy_carries_the_mark(shares: Shares, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = loopback(listener.getsockname()[1])
        candidate = Candidate(Upstreams(Triton(silent, silent, silent), silent), mirror=100)
        shares.install(dataclasses.replace(shares.gateway.options, candidate=candidate))
        time.sleep(0.1)
        assert shares.gateway.ask("POST", "/score", b"{}", headers={MIRRORED: "no"}).status == 200
        listener.settimeout(5)
        with listener.accept()[0] as connection:
            head = connection.recv(65536).decode().lower()
    assert f"{MIRRORED}: 1\r\n" in head
    assert f"{MIRRORED}: no" not in head
    assert "authorization" not in head


@pytest.mark.parametrize("size", [2, 8_000_000])
def test_a_candidate_that_hangs_or_dies_harms_no_client(shares: Shares, size: int) -> None:
    gateway = shares.gateway
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        silent = loopback(listener.getsockname()[1])
        candidate = Candidate(Upstreams(Triton(silent, silent, silent), silent), mirror=100)
        shares.install(dataclasses.replace(gateway.options, candidate=candidate))
        time.sleep(0.1)
        for path in ("/score", "/v2/models/digits/infer"):
            for _ in range(30 if size > 100 else 300):
                started = time.monotonic()
                answer = gateway.ask("POST", path, json.dumps("x" * size).encode())
                assert (answer.status, answer.json()["server"]) == (200, "old")
                assert time.monotonic() - started < 2
    for _ in range(100):
        assert gateway.ask("POST", "/score", b"{}").status == 200


def test_copies_do_not_count_against_the_rate_limit(tmp_path: Path) -> None:
    with upstream("old") as old, upstream("new") as new:
        candidate = Candidate(Upstreams(triton_of(new), new.address), mirror=100)
        upstreams = Upstreams(triton_of(old), old.address)
        with running(
            tmp_path, upstreams, candidate=candidate, requests_per_second=50, max_request_bytes=100_000
        ) as gateway:
            time.sleep(1.1)
            statuses = Counter(gateway.ask("POST", "/score", b"{}").status for _ in range(50))
            assert statuses == {200: 50}
            eventually(lambda: new.requests == 50)


def test_every_state_that_a_killed_writer_leaves_is_one_that_envoy_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with upstream("old") as old, upstream("new") as new:
        upstreams = Upstreams(triton_of(old), old.address)
        with running(tmp_path, upstreams) as gateway, Hammer(gateway, clients=2) as hammer:
            keys = envoy_files.render_keys(gateway.keys)
            with_share = dataclasses.replace(
                gateway.options, candidate=Candidate(Upstreams(triton_of(new), new.address), weight=50)
            )
            real = envoy_folder._move_into_place
            for options in (with_share, gateway.options):
                for step in range(100):
                    left = [step]

                    def dies(path: Path, text: str, left: list[int] = left) -> None:
                        if left[0] == 0:
                            raise KeyboardInterrupt
                        left[0] -= 1
                        real(path, text)

                    monkeypatch.setattr(envoy_folder, "_move_into_place", dies)
                    try:
                        envoy_folder.install(gateway.directory, envoy_files.render(options) | keys, gateway.admin)
                        break
                    except KeyboardInterrupt:
                        monkeypatch.setattr(envoy_folder, "_move_into_place", real)
                        validate(gateway)
                    hammer.more(10)
                else:
                    pytest.fail("the writer never came to an end")
        assert not hammer.failures
        assert set(hammer.statuses) == {200}


def validate(gateway: Gateway) -> None:
    """Check that each route's cluster is there, and each cluster's endpoints."""
    folder = gateway.directory
    names = {one["name"] for one in json.loads((folder / "clusters.json").read_text())["resources"]}
    routes = (folder / "routes.json").read_text()
    used = {name for name in ("triton-candidate", "scorer-candidate", "triton_grpc-candidate") if f'"{name}"' in routes}
    assert used <= names
    assert all((folder / f"endpoints.{name}.json").exists() for name in names)


def test_a_share_that_makes_no_sense_is_refused(shares: Shares) -> None:
    with pytest.raises(ValueError, match="not between 0 and 100 percent"):
        shares.options(weight=101)
    with pytest.raises(ValueError, match="together would give it a request twice"):
        shares.options(weight=1, mirror=1)
    with pytest.raises(ValueError, match="the same kinds of servers"):
        dataclasses.replace(shares.options(), candidate=Candidate(Upstreams(scorer=shares.new.address)))
