"""A door's part of the limits, by itself and with a rate limit service that counts over all doors."""

from __future__ import annotations

from gateway.clients import Client
from gateway.front_door_options import Options, Upstreams, loopback
from gateway.rate_limit_service import RateLimitService
from settings.service_groups import Limits, Opening
from targets.door_options import door_options

CLIENT = Client(name="checkout", requests_per_second=101, max_concurrent=9)


def options(opening: Opening) -> Options:
    return door_options(
        Limits(), opening, clients=[CLIENT], doors=2, upstreams=Upstreams(scorer=loopback(1)), directory="/run/envoy"
    )


def test_a_door_that_counts_for_itself_takes_its_part() -> None:
    (client,) = options(Opening()).clients
    assert (client.requests_per_second, client.max_concurrent) == (51, 5)


def test_with_a_rate_limit_service_a_door_lets_a_clients_whole_rate_through() -> None:
    wanted = {"rateLimitService": {"address": "ratelimit:8081"}}
    found = options(Opening.model_validate(wanted))
    (client,) = found.clients
    assert (client.requests_per_second, client.max_concurrent) == (101, 5)
    assert found.rate_limit_service == RateLimitService(host="ratelimit", port=8081, domain="triton", timeout_ms=50)
