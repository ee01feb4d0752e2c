"""What Prometheus reads of requests: who asked, who answered, with what status, and how fast."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from threading import Event

import grpc
import pytest

from gateway import bootstrap, envoy_files, envoy_folder
from gateway.clients import Client
from gateway.door_metrics import MILLISECONDS, REQUESTS
from gateway.front_door_options import Candidate, Triton, Upstreams, loopback
from gateway.keys import make_key
from targets.machine.ports import free_ports
from tests.gateway.conftest import Gateway, Upstream, running, triton_of
from tests.waiting import eventually

CHECKOUT = Client(name="checkout", models=("wine",))
SLOW = Client(name="slow", requests_per_second=1)
INFER = "/v2/models/wine/infer"
LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")


@pytest.fixture
def door(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    upstreams = Upstreams(triton_of(echo), scorer_echo.address, generation="7")
    with running(tmp_path, upstreams, clients=(CHECKOUT, SLOW), health_path="/healthz") as gateway:
        yield gateway


def samples(gateway: Gateway, name: str) -> dict[tuple[str, ...], float]:
    """Give the samples of a metric, by the values of their labels in order."""
    found = map(LINE.fullmatch, gateway.stats("/stats/prometheus").body.decode().splitlines())
    return {
        tuple(re.findall('"([^"]*)"', match[2])): float(match[3])
        for match in found
        if match is not None and match[1] == name
    }


def requests(gateway: Gateway, count: int) -> Counter[tuple[str, ...]]:
    """Wait for so many requests to be counted, by client, generation, status and status of gRPC."""
    eventually(lambda: sum(samples(gateway, REQUESTS).values()) >= count)
    return Counter({labels: int(value) for labels, value in samples(gateway, REQUESTS).items()})


def test_granted_refused_and_limited_requests_count_for_their_client(door: Gateway) -> None:
    checkout, slow = (door.client_keys[client.name].primary for client in (CHECKOUT, SLOW))
    door.ask("POST", "/score", b"{}")
    door.ask("POST", INFER, b"{}", key=checkout)
    door.ask("POST", "/v2/models/iris/infer", b"{}", key=checkout)
    for _ in range(3):
        door.ask("POST", "/score", b"{}", key=slow)
    door.ask("POST", INFER, b"{}", headers={"x-client-name": "checkout"}, key=make_key())
    door.ask("GET", "/healthz", key=None)
    assert requests(door, 7) == {
        ("default", "7", "200", ""): 1,
        ("checkout", "7", "200", ""): 1,
        ("checkout", "", "403", ""): 1,
        ("slow", "7", "200", ""): 1,
        ("slow", "", "429", ""): 2,
        ("-", "", "401", ""): 1,
    }


def test_nobody_makes_a_series_by_what_he_sends(door: Gateway) -> None:
    for number in range(20):
        headers = {"x-client-name": f"client-{number}", "grpc-status": str(number), "x-request-id": str(number)}
        door.ask("POST", f"/v2/models/model-{number}/infer", b"{}", headers=headers, key=make_key())
        door.ask("POST", f"/v2/models/model-{number}/infer", b"{}", headers=headers)
        door.ask("GET", f"/path-{number}", headers=headers)
    assert set(requests(door, 60)) == {("-", "", "401", ""), ("default", "7", "200", ""), ("default", "", "404", "")}
    eventually(lambda: sum(samples(door, f"{MILLISECONDS}_count").values()) == 60)
    assert set(samples(door, f"{MILLISECONDS}_count")) == {("infer", ""), ("infer", "7"), ("not_served", "")}


def test_latencies_count_by_route_and_generation(door: Gateway) -> None:
    for path in ("/score", "/score", INFER):
        door.ask("POST", path, b"{}")
    eventually(lambda: sum(samples(door, f"{MILLISECONDS}_count").values()) == 3)
    assert samples(door, f"{MILLISECONDS}_count") == {("score", "7"): 2, ("infer", "7"): 1}
    buckets = {
        le: count for (route, _, le), count in samples(door, f"{MILLISECONDS}_bucket").items() if route == "score"
    }
    bounds = [float(le) for le in buckets if le != "+Inf"]
    assert bounds == sorted(bounds)
    assert all(later <= 3 * bound for bound, later in pairwise(bounds))
    assert buckets["+Inf"] == 2


class _Echo(grpc.GenericRpcHandler):
    """Gives each message back."""

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


def test_statuses_of_grpc_count_where_http_says_200(tmp_path: Path, echo: Upstream) -> None:
    triton = grpc.server(ThreadPoolExecutor(2), handlers=[_Echo()])
    upstreams = Upstreams(Triton(echo.address, loopback(triton.add_insecure_port("127.0.0.1:0")), echo.address))
    triton.start()
    with running(tmp_path, upstreams, clients=(SLOW,)) as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.options.listen.port}") as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            for key in (gateway.keys.primary, make_key(), *[gateway.client_keys["slow"].primary] * 2):
                try:
                    infer(b"x", metadata=[("authorization", f"Bearer {key}")], timeout=10)
                except grpc.RpcError:
                    continue
        assert requests(gateway, 4) == {
            ("default", "", "200", "OK"): 1,
            ("-", "", "200", "UNAUTHENTICATED"): 1,
            ("slow", "", "200", "OK"): 1,
            ("slow", "", "200", "RESOURCE_EXHAUSTED"): 1,
        }
    triton.stop(0).wait(5)


class _Stream(grpc.GenericRpcHandler):
    """Gives a message back, and then says nothing for long."""

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.stream_stream_rpc_method_handler(self._answers)

    def _answers(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield next(messages)
        over = Event()
        context.add_callback(over.set)
        over.wait(20)


def test_a_stream_of_grpc_that_its_client_cancels_has_no_status_that_tells_it(tmp_path: Path, echo: Upstream) -> None:
    triton = grpc.server(ThreadPoolExecutor(2), handlers=[_Stream()])
    upstreams = Upstreams(Triton(echo.address, loopback(triton.add_insecure_port("127.0.0.1:0")), echo.address))
    triton.start()
    more = Event()
    with (
        running(tmp_path, upstreams) as gateway,
        grpc.insecure_channel(f"127.0.0.1:{gateway.options.listen.port}") as channel,
    ):
        infer = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        key = [("authorization", f"Bearer {gateway.keys.primary}")]
        answers = infer(chain([b"x"], iter(more.wait, True)), metadata=key, timeout=20)
        next(answers)
        answers.cancel()
        assert requests(gateway, 1) == {("default", "", "200", "UNKNOWN"): 1}
        more.set()
    triton.stop(0).wait(5)


def test_where_a_server_does_not_answer_its_generation_counts(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running(tmp_path, Upstreams(scorer=loopback(port), generation="7")) as gateway:
        assert gateway.ask("POST", "/score", b"{}").status == 503
        assert requests(gateway, 1) == {("default", "7", "503", ""): 1}
        eventually(lambda: samples(gateway, f"{MILLISECONDS}_count") == {("score", "7"): 1})


def test_both_generations_of_a_rollout_count_for_themselves(
    tmp_path: Path, echo: Upstream, scorer_echo: Upstream
) -> None:
    serving, new = (
        Upstreams(scorer=server.address, generation=number) for server, number in ((echo, "1"), (scorer_echo, "2"))
    )
    with running(tmp_path, serving, candidate=Candidate(new, weight=50)) as gateway:
        for _ in range(30):
            gateway.ask("POST", "/score", b"{}")
        found = requests(gateway, 30)
    assert set(found) == {("default", "1", "200", ""), ("default", "2", "200", "")}


def test_a_new_listener_goes_on_counting(door: Gateway) -> None:
    door.ask("POST", "/score", b"{}")
    files = envoy_files.render(replace(door.options, idle_seconds=80))
    envoy_folder.replace(door.directory, {"listeners.json": files["listeners.json"]}, door.admin)
    door.ask("POST", "/score", b"{}")
    assert requests(door, 2) == {("default", "7", "200", ""): 2}


def test_a_series_that_nothing_was_added_to_is_forgotten(
    tmp_path: Path, scorer_echo: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "FORGOTTEN_SECONDS", 2)
    with running(tmp_path, Upstreams(scorer=scorer_echo.address, generation="1")) as gateway:
        for _ in range(2):
            gateway.ask("POST", "/score", b"{}")
            assert requests(gateway, 1) == {("default", "1", "200", ""): 1}
            eventually(lambda: not samples(gateway, REQUESTS) and not samples(gateway, f"{MILLISECONDS}_count"))
