"""How much a client may ask for: its rate, and its requests at once; nobody else feels either."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from gateway.clients import Client
from gateway.front_door_options import Upstreams
from tests.gateway.conftest import Gateway, Hammer, Upstream, running, triton_of, upstream
from tests.waiting import eventually

CLIENTS = (
    Client(name="slow", requests_per_second=50),
    Client(name="calm", requests_per_second=20),
    Client(name="narrow", max_concurrent=3),
    Client(name="free"),
)


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


@pytest.fixture
def door(tmp_path: Path, server: Upstream) -> Iterator[Gateway]:
    with running(tmp_path, Upstreams(triton_of(server), server.address), clients=CLIENTS) as gateway:
        yield gateway


def test_clients_stay_within_five_percent_of_their_rates_over_ten_seconds(door: Gateway) -> None:
    rates = {client.name: client.requests_per_second for client in CLIENTS if client.requests_per_second}
    with (
        Hammer(door, key=door.client_keys["slow"].primary, clients=2) as slow,
        Hammer(door, key=door.client_keys["calm"].primary, clients=2) as calm,
        Hammer(door, key=door.client_keys["free"].primary, clients=1) as other,
    ):
        hammers = {"slow": slow, "calm": calm}
        started, before = time.monotonic(), {name: Counter(hammer.statuses) for name, hammer in hammers.items()}
        time.sleep(10)
        taken = {name: hammer.statuses - before[name] for name, hammer in hammers.items()}
        seconds = time.monotonic() - started
    for name, rate in rates.items():
        assert 0.95 * rate <= taken[name][200] / seconds <= 1.05 * rate, name
        assert taken[name][429] > 0, name
    assert set(other.statuses) == {200}
    assert not slow.failures + calm.failures + other.failures


def test_more_than_the_rate_is_429_and_told_when_to_come_again(door: Gateway) -> None:
    key = door.client_keys["slow"].primary
    answers = [door.ask("POST", "/score", b"{}", key=key) for _ in range(40)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.headers["retry-after"], refused.headers["content-type"]) == ("1", "application/json")
    assert refused.json() == {"error": "too many requests; slow down and try again"}
    assert {door.ask("GET", "/v2/health/ready", key=key).status for _ in range(40)} == {200}
    assert {door.ask("GET", "/nowhere", key=key).status for _ in range(40)} == {404}


def test_more_at_once_than_a_client_may_have_are_429_and_others_go_on(door: Gateway, server: Upstream) -> None:
    key = door.client_keys["narrow"].primary
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(door.ask, "POST", "/score?wait", b"{}", key=key) for _ in range(12)]
        eventually(lambda: sum(answer.done() for answer in asked) == 9 and server.waiting == 3)
        assert door.ask("POST", "/score", b"{}", key=door.client_keys["free"].primary).status == 200
        assert door.ask("POST", "/score", b"{}").status == 200
        assert door.ask("GET", "/", key=key).status == 200  # health is no inference
        refused = next(answer for answer in asked if answer.done()).result()
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.json() == {"error": "too many requests; slow down and try again"}
        server.let_go()
    assert Counter(answer.result().status for answer in asked) == {200: 3, 429: 9}
    server.hold()
    for _ in range(5):
        assert door.ask("POST", "/score", b"{}", key=key).status == 200


def test_clients_that_hang_up_give_their_places_back(door: Gateway, server: Upstream) -> None:
    key = door.client_keys["narrow"].primary
    for _ in range(4):
        connections = [door.connect() for _ in range(3)]
        for connection in connections:
            connection.request("POST", "/score?wait", b"{}", {"Authorization": f"Bearer {key}"})
        eventually(lambda: server.waiting == 3)
        assert door.ask("POST", "/score", b"{}", key=key).status == 429
        for connection in connections:
            connection.close()
        eventually(lambda: server.waiting == 0)
    eventually(lambda: door.ask("POST", "/score", b"{}", key=key).status == 200)


def test_the_limit_of_all_counts_beside_a_clients_own(tmp_path: Path, server: Upstream) -> None:
    upstreams = Upstreams(scorer=server.address)
    with running(tmp_path, upstreams, clients=CLIENTS, requests_per_second=3) as gateway:
        free, narrow = (gateway.client_keys[name].primary for name in ("free", "narrow"))
        assert 3 <= [gateway.ask("POST", "/score", b"{}", key=free).status for _ in range(60)].count(200) < 60
        # Asked until then: a token may have come back meanwhile. One at a time, the client's own limit refuses none.
        eventually(lambda: gateway.ask("POST", "/score", b"{}", key=narrow).status == 429)


def test_over_grpc_a_limit_is_a_status(door: Gateway) -> None:
    metadata = [("authorization", f"Bearer {door.client_keys['slow'].primary}")]
    with grpc.insecure_channel(f"127.0.0.1:{door.options.listen.port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        codes = []
        for _ in range(40):
            with pytest.raises(grpc.RpcError) as refused:  # the echoing server speaks no gRPC
                call(b"", metadata=metadata, timeout=10)
            codes.append((refused.value.code(), refused.value.details()))
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests; slow down and try again") in [
        (code, details.removeprefix('{"error":"').split('"}')[0]) for code, details in codes
    ]
