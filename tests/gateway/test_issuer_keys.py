"""Which issuers give the front door no keys, as `up` tells it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import issuer_keys, issuers
from gateway.admin import Admin
from gateway.clients import Client, Jwt
from gateway.front_door_options import Upstreams
from gateway.issuer_keys import without_keys
from targets.machine.ports import free_ports
from tests.gateway.conftest import Upstream, running
from tests.gateway.issuer import AUDIENCE, Issuer, issuing
from tests.waiting import eventually


class _NoKeys(http.server.BaseHTTPRequestHandler):
    """Answers 200 with a page, and 404 at `/404`."""

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/404" else 200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NoKeys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as started:
        yield started


def client(name: str, jwks_uri: str) -> Client:
    return Client(name=name, jwt=Jwt(issuer=f"https://{name}.example.org", audience=AUDIENCE, jwks_uri=jwks_uri))


def test_each_issuer_without_keys_is_told_and_no_other(
    tmp_path: Path, scorer_echo: Upstream, page: str, issuer: Issuer
) -> None:
    (closed,) = free_ports(1)
    wrong = {
        "closed": f"http://127.0.0.1:{closed}/keys",
        "missing": f"{page}/404",
        "page": f"{page}/keys",
        "unknown": "https://nobody.invalid/keys",
    }
    named = [client(name, uri) for name, uri in wrong.items()]
    clients = (client("good", issuer.jwks_uri), *named, Client(name="keyed"))
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), clients=clients) as gateway:
        told = without_keys(Admin(gateway.options.admin_socket), clients)
    assert [line.partition(" keys at ")[0] for line in told] == [
        f"the issuer https://{name}.example.org gives the front door no" for name in wrong
    ]
    assert told[0].partition(" at ")[2] == (
        f"{wrong['closed']}: until it does, tokens of closed get 401, but for those of keys that were fetched before"
    )


def test_an_issuer_that_hangs_is_told(
    tmp_path: Path, scorer_echo: Upstream, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (issuers, issuer_keys):
        monkeypatch.setattr(module, "FETCH_SECONDS", 1)
    issuer.answers.clear()
    clients = (client("nightly", issuer.jwks_uri),)
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), clients=clients) as gateway:
        admin = Admin(gateway.options.admin_socket)
        assert len(without_keys(admin, clients)) == 1
        issuer.answers.set()
        eventually(lambda: without_keys(admin, clients) == [])


def test_without_issuers_nothing_is_waited_for(tmp_path: Path) -> None:
    assert without_keys(Admin(tmp_path / "no-such-socket"), (Client(name="keyed"),)) == []
