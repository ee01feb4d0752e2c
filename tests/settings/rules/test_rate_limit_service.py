"""A rate limit service that could not count is refused at preview."""

from __future__ import annotations

from typing import Any

import pytest

from tests.settings.conftest import Check

PATH = "deployment.rateLimitService"
CLIENT = {"name": "checkout", "requestsPerSecond": 50}


def wanted(address: str, target: str = "process", **others: Any) -> dict[str, Any]:
    service = {"address": address, **others}
    return {"clients": [CLIENT], "deployment": {"target": target, "rateLimitService": service}}


def test_a_service_of_this_machine_serves_this_machine_alone(mistakes: Check) -> None:
    for address in ("localhost:8081", "127.0.0.1:8081", "[::1]:8081", "ratelimit.example.org:8081"):
        assert mistakes(wanted(address)) == []
    assert mistakes(wanted("ratelimit:8081", "docker")) == []
    for address, host in (("localhost:8081", "localhost"), ("127.0.0.2:8081", "127.0.0.2"), ("[::1]:8081", "::1")):
        assert mistakes(wanted(address, "docker")) == [
            f"{PATH}.address has the value '{address}': expected the service's address on the network: in a container "
            f"{host} is the container itself"
        ]


@pytest.mark.parametrize(
    "address",
    ["", "ratelimit", "ratelimit:", ":8081", "ratelimit:0", "ratelimit:99999", "http://ratelimit:8081", "a@b:1"],
)
def test_an_address_is_a_host_and_a_port(mistakes: Check, address: str) -> None:
    (found,) = mistakes(wanted(address))
    assert found.startswith(f"{PATH}.address has the value '{address}': ")
    assert "a host and a port, as in 'ratelimit.example.org:8081'" in found


def test_numbers_have_limits(mistakes: Check) -> None:
    assert mistakes(wanted("ratelimit:8081", timeoutMs=2000)) == [
        f"{PATH}.timeoutMs has the value 2000: expected at most 1000"
    ]


def test_without_a_client_that_has_a_limit_it_does_nothing(mistakes: Check) -> None:
    assert mistakes({**wanted("ratelimit:8081"), "clients": [{"name": "checkout", "maxConcurrent": 5}]}) == [
        f"{PATH}: does nothing: it counts the requests of clients with requestsPerSecond, and there is none; give a "
        "client the limit, or remove the service"
    ]
