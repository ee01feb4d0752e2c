"""A rate limit service counts a client's requests over two front doors, and costs none where it does not answer."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from gateway import envoy_files, envoy_folder
from gateway.clients import Client
from gateway.front_door_options import Upstreams
from gateway.rate_limit_service import RateLimitService
from targets.machine.ports import free_ports
from tests.gateway.conftest import Gateway, Hammer, Upstream, running, triton_of
from tests.gateway.rate_limits import RateLimits
from tests.waiting import eventually

RATE = 10
CLIENTS = (
    Client(name="checkout", requests_per_second=RATE),
    Client(name="other", requests_per_second=1000),
    Client(name="free"),
)


@dataclass
class Site:
    """Two front doors, and the service that both ask."""

    doors: tuple[Gateway, Gateway]
    service: RateLimits

    def key(self, name: str, door: int = 0) -> str:
        return self.doors[door].client_keys[name].primary

    def score(self, name: str, body: bytes = b"{}") -> int:
        return self.doors[0].ask("POST", "/score", body, key=self.key(name)).status

    def count(self, outcome: str) -> int:
        """How often the first door has had an outcome, of requests to the scorer."""
        lines = self.doors[0].stats("/stats/prometheus").body.decode().splitlines()
        name = f'envoy_cluster_ratelimit_{outcome}{{envoy_cluster_name="scorer"}}'
        return sum(int(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, echo: Upstream, scorer_echo: Upstream) -> Iterator[Site]:
    service = RateLimits(free_ports(1)[0], {"checkout": RATE})
    service.start()
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    options = {"clients": CLIENTS, "rate_limit_service": service.settings, "concurrency": 1}
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with running(first, upstreams, **options) as one, running(second, upstreams, **options) as two:
        yield Site((one, two), service)
    service.stop()


def test_two_doors_let_a_clients_rate_through_together(site: Site) -> None:
    hammers = [Hammer(door, key=site.key("checkout", index), clients=1) for index, door in enumerate(site.doors)]
    with hammers[0], hammers[1]:
        began, before = time.monotonic(), sum(hammer.statuses[200] for hammer in hammers)
        time.sleep(3)
        taken = [hammer.statuses[200] for hammer in hammers]
        seconds = time.monotonic() - began
    assert sum(taken) - before <= RATE * (seconds + 1)  # each door by itself would let as many through
    assert sum(taken) - before >= 0.7 * RATE * seconds
    assert all(taken)
    assert not hammers[0].failures + hammers[1].failures


def test_who_is_above_it_gets_429_and_is_told_when_to_come_again(site: Site) -> None:
    site.service.per_second["other"] = 0
    answer = site.doors[0].ask("POST", "/score", b"{}", key=site.key("other"))
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.json() == {"error": "too many requests; slow down and try again"}
    assert not [name for name in answer.headers if "ratelimit" in name]
    eventually(lambda: "request_rate_limited" in [line["reason"] for line in site.doors[0].log_lines()])
    with grpc.insecure_channel(f"127.0.0.1:{site.doors[0].options.listen.port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=[("authorization", f"Bearer {site.key('other')}")], timeout=10)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    del site.service.per_second["other"]
    assert site.score("other") == 200
    assert site.score("other", b"x" * 1_000_000) == 200  # more than the door holds while it waits


def test_it_is_asked_for_inference_by_clients_with_a_rate_alone(site: Site) -> None:
    site.service.asked.clear()
    door = site.doors[0]
    assert site.score("free") == 200
    assert door.ask("POST", "/score", b"{}").status == 200  # by a key of the service
    assert door.ask("POST", "/score", b"{}", key="nobody-knows-this-key").status == 401
    assert door.ask("POST", "/score", b"{}", key=None).status == 401
    assert door.ask("GET", "/v2/health/ready", key=site.key("other")).status == 200
    assert door.ask("GET", "/nowhere", key=site.key("other")).status == 404
    assert not site.service.asked
    headers = {"x-client-name": "free"}
    assert door.ask("POST", "/score", b"{}", headers, key=site.key("other")).status == 200
    assert site.service.asked == {("triton", "client=other"): 1}


def test_a_service_that_hangs_costs_a_request_its_timeout_alone(site: Site) -> None:
    passed = site.count("failure_mode_allowed")
    with site.service.hanging():
        began = time.monotonic()
        assert site.score("other") == 200
        assert 0.9 < time.monotonic() - began < 5  # it answers after 10
    eventually(lambda: site.count("failure_mode_allowed") == passed + 1)


def test_a_service_that_is_down_costs_no_request_and_each_door_counts_for_itself(site: Site) -> None:
    passed = site.count("failure_mode_allowed")
    site.service.stop()
    try:
        assert [site.score("other") for _ in range(20)] == [200] * 20
        eventually(lambda: site.count("failure_mode_allowed") == passed + 20)
        assert 429 in [site.score("checkout") for _ in range(2 * RATE)]
    finally:
        site.service.start()
    site.service.asked.clear()
    eventually(lambda: site.score("other") == 200 and bool(site.service.asked))


def test_it_comes_moves_and_goes_while_requests_run(tmp_path: Path, scorer_echo: Upstream) -> None:
    service = RateLimits(free_ports(1)[0], {})
    service.start()
    there, elsewhere = service.settings, service.settings.model_copy(update={"host": "localhost"})
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), clients=CLIENTS) as gateway:

        def install(settings: RateLimitService | None) -> list[str]:
            options = dataclasses.replace(gateway.options, rate_limit_service=settings)
            keys = envoy_files.render_keys(gateway.keys, options.clients, gateway.client_keys)
            return envoy_folder.install(gateway.directory, envoy_files.render(options) | keys, gateway.admin)

        with Hammer(gateway, key=gateway.client_keys["free"].primary, clients=2) as free:
            assert set(install(there)) == {"clusters.json", "listeners.json", "routes.json"}
            with contextlib.closing(gateway.connect()) as connection:

                def score() -> int:
                    key = gateway.client_keys["other"].primary
                    return gateway.ask("POST", "/score", b"{}", key=key, connection=connection).status

                eventually(lambda: score() == 200 and bool(service.asked))
                assert install(elsewhere) == ["clusters.json"]
                asked = service.asked.total()
                assert score() == 200  # on the connection that is open
                eventually(lambda: service.asked.total() > asked)
            install(None)
            free.more()
    service.stop()
    assert set(free.statuses) == {200}
    assert not free.failures


def test_a_service_whose_name_nobody_resolves_does_not_keep_the_door_shut(
    tmp_path: Path, scorer_echo: Upstream
) -> None:
    service = RateLimits(1, {}).settings.model_copy(update={"host": "nowhere.invalid"})
    with running(
        tmp_path, Upstreams(scorer=scorer_echo.address), clients=CLIENTS, rate_limit_service=service
    ) as gateway:
        key = gateway.client_keys["other"].primary
        assert gateway.ask("POST", "/score", b"{}", key=key).status == 200
