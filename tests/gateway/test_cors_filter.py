"""Web pages of allowed origins may call the service, and read its refusals; others may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.cors_filter import check_origin, origins
from gateway.front_door_options import Upstreams
from tests.gateway.conftest import Answer, Gateway, Upstream, running, triton_of

PAGE, OTHER = "https://www.example.com", "https://evil.example"
ALLOWED = (PAGE, "http://localhost:3000")
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
PATHS = ["/score", "/v2/models/digits/infer", "/swagger.json"]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    with running(tmp_path_factory.mktemp("cors"), upstreams, cors_origins=ALLOWED) as gateway:
        yield gateway


def preflight(door: Gateway, origin: str, path: str = "/score") -> Answer:
    return door.ask("OPTIONS", path, headers={"Origin": origin, **PREFLIGHT}, key=None)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [*ALLOWED, "https://WWW.example.com"])
def test_a_preflight_needs_no_key(door: Gateway, origin: str, path: str) -> None:
    answer = preflight(door, origin, path)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    # For browsers "*" is any header but Authorization.
    assert answer.headers["access-control-allow-headers"] == "*, Authorization"


@pytest.mark.parametrize("origin", [OTHER, f"{PAGE}.evil.example", "https://example.com", "null", f"{PAGE}:444", ""])
def test_an_origin_that_is_not_allowed_gets_nothing(door: Gateway, origin: str) -> None:
    answer = preflight(door, origin)
    assert answer.status == 401
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    answer = door.ask("POST", "/score", b"{}", {"Origin": origin})
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_can_read_answers_and_refusals(door: Gateway) -> None:
    for key, status in (("", 200), (None, 401)):
        answer = door.ask("POST", "/score", b"{}", {"Origin": PAGE}, key=key)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, PAGE)
    refused = door.ask("POST", "/v2/models/digits/infer", b"[" * 1000, {"Origin": PAGE})
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (400, PAGE)


def test_a_preflight_alone_passes_without_a_key(door: Gateway) -> None:
    for method, headers in (
        ("OPTIONS", {"Origin": PAGE}),
        ("POST", {"Origin": PAGE, **PREFLIGHT}),
        ("OPTIONS", PREFLIGHT),
    ):
        assert door.ask(method, "/score", headers=headers, key=None).status == 401


def test_an_asterisk_is_every_origin(tmp_path: Path, scorer_echo: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), cors_origins=("*",)) as door:
        assert preflight(door, OTHER).headers["access-control-allow-origin"] == OTHER


def test_without_the_setting_a_preflight_needs_a_key(gateway: Gateway) -> None:
    assert preflight(gateway, PAGE).status == 401


def test_a_servers_own_headers_are_not_doubled(tmp_path: Path) -> None:
    class Scorer(Upstream):
        async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({}, headers={"Access-Control-Allow-Origin": PAGE, "Vary": "Origin"})

    server = Scorer()
    try:
        with running(tmp_path, Upstreams(scorer=server.address), cors_origins=ALLOWED) as door:
            connection = door.connect()
            connection.request(
                "POST", "/score", b"{}", {"Origin": PAGE, "Authorization": f"Bearer {door.keys.primary}"}
            )
            headers = connection.getresponse().getheaders()
            connection.close()
    finally:
        server.close()
    named = [(name.lower(), value) for name, value in headers]
    assert named.count(("access-control-allow-origin", PAGE)) == 1
    assert named.count(("vary", "Origin")) == 1


def test_origins_are_written_as_browsers_send_them() -> None:
    for origin in ("https://www.example.com", "http://localhost:3000", "*", "null", "http://[::1]:80", "app://x"):
        assert check_origin(origin) == origin
    for wrong in (
        "www.example.com",
        "https://a.example/",
        "https://a b",
        "https://*.example.com",
        'https://a"',
        "%",
        "é",
    ):
        with pytest.raises(ValueError, match="is no origin; write it as browsers send it"):
            check_origin(wrong)
    assert origins(" https://a.example , ,*") == ("https://a.example", "*")
