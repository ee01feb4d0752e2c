"""What the front door lets through, where it goes, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.front_door_options import Upstreams
from tests.gateway.conftest import Gateway, Upstream, running, triton_of

V2_READS = [
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/stats",
    "/v2/models/digits",
    "/v2/models/digits/ready",
    "/v2/models/digits/config",
    "/v2/models/digits/stats",
    "/v2/models/digits/versions/2",
    "/v2/models/digits/versions/2/ready",
    "/v2/models/digits/versions/2/config",
    "/v2/models/digits/versions/2/stats",
    "/v2/models/bidaf-9.v1_x/ready",
]
V2_INFERENCES = [
    "/v2/models/digits/infer",
    "/v2/models/digits/versions/2/infer",
    "/v2/models/digits/generate",
    "/v2/models/digits/versions/2/generate_stream",
]
NOT_SERVED = [
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/digits/load"),
    ("POST", "/v2/repository/models/digits/unload"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/systemsharedmemory/region/x/register"),
    ("POST", "/v2/cudasharedmemory/region/x/register"),
    ("GET", "/v2/cudasharedmemory/status"),
    ("GET", "/v2/trace/setting"),
    ("POST", "/v2/trace/setting"),
    ("GET", "/v2/models/digits/trace/setting"),
    ("POST", "/v2/models/digits/trace/setting"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    # not read-only, or no such thing
    ("POST", "/v2/health/ready"),
    ("POST", "/v2/models/digits"),
    ("POST", "/v2/models/digits/config"),
    ("GET", "/v2/models/digits/infer"),
    ("DELETE", "/v2/models/digits"),
    ("GET", "/v2/models"),
    ("GET", "/v2/models/"),
    ("GET", "/v2/models/digits/versions/latest"),
    ("GET", "/v2/models/digits/infer/extra"),
    ("GET", "/v1/models"),
    ("GET", "/metrics"),
    ("GET", "/stats/prometheus"),
    ("GET", "/ready"),
    ("GET", "/config_dump"),
    ("POST", "/quitquitquit"),
    ("GET", "/scoreboard"),
    ("GET", "/score/extra"),
    ("POST", "/"),
    ("POST", "/swagger.json"),
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/swagger.json?version=3"),
        ("POST", "/score"),
        ("GET", "/score?a=1"),
        ("OPTIONS", "/score"),
    ],
)
def test_the_entry_script_gets_its_paths(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.ask(method, path)
    assert answer.status == 200
    if method != "HEAD":
        assert answer.json() | {"headers": {}} == {
            "server": "scorer",
            "method": method,
            "path": path,
            "headers": {},
            "bytes": 0,
        }


@pytest.mark.parametrize("path", V2_READS)
def test_triton_can_be_read(gateway: Gateway, path: str) -> None:
    answer = gateway.ask("GET", path)
    assert (answer.status, answer.json()["server"], answer.json()["path"]) == (200, "triton", path)


@pytest.mark.parametrize("path", V2_INFERENCES)
def test_triton_infers(gateway: Gateway, path: str) -> None:
    answer = gateway.ask("POST", path, b"x" * 100_000)
    assert (answer.status, answer.json()["server"], answer.json()["bytes"]) == (200, "triton", 100_000)


@pytest.mark.parametrize(("method", "path"), NOT_SERVED)
def test_nothing_else_is_served_and_the_answer_says_what_is(
    gateway: Gateway, echo: Upstream, scorer_echo: Upstream, method: str, path: str
) -> None:
    before = echo.requests + scorer_echo.requests
    answer = gateway.ask(method, path)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    assert "/v2/models/<model>" in answer.json()["error"]
    assert "/score" in answer.json()["error"]
    assert echo.requests + scorer_echo.requests == before


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/..%2frepository/index",
        "/v2/models/..%2f..%2frepository/index",
        "/v2/models/x%2f..%2f..%2frepository%2findex",
        "/v2/models/%2e%2e/repository/index",
        "/v2/models/%2E%2E/repository/index",
        "/v2/models/../repository/index",
        "/v2/models/.%2e/repository/index",
        "/v2/models/x/../../repository/index",
        "/v2/models/x%5c..%5c..%5crepository%5cindex",
        "/v2/models/..\\repository\\index",
        "/v2\\repository\\index",
        "//v2/repository/index",
        "/v2//repository/index",
        "/v2///repository///index",
        "/v2/repository//index",
        "/./v2/./repository/index",
        "/v2/repository;a=b/index",
        "/v2;/repository/index",
        "/v2/models/x;/../../repository/index",
        "/V2/REPOSITORY/INDEX",
        "/v2/Repository/index",
        "/v2/%72epository/index",
        "/v2/%72%65%70%6f%73%69%74%6f%72%79/index",
        "/v2/repository/index?x=/v2/health/ready",
        "/v2/repository/index%3f/v2/health/ready",
        "/v2/health/ready/../../repository/index",
        "/score/../v2/repository/index",
        "/score/..;/v2/repository/index",
        "/score%2f..%2fv2%2frepository%2findex",
        "/v2/models/x/infer/../../../repository/index",
        "/v2/models/x%00/../../repository/index",
        "/v2/models/%252e%252e/repository/index",
        "/v2/models/..%252frepository/index",
        "/v2/repository/index#/v2/health/ready",
        "/v2/health/ready#/../../repository/index",
        "http://127.0.0.1/v2/repository/index",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_spelling_of_a_path_reaches_what_is_not_served(
    gateway: Gateway, echo: Upstream, scorer_echo: Upstream, method: str, path: str
) -> None:
    before = echo.requests + scorer_echo.requests
    answer = gateway.ask(method, path)
    assert answer.status in (400, 404), answer.body
    assert answer.json()["error"]
    assert echo.requests + scorer_echo.requests == before


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("//v2//health/ready", "/v2/health/ready"),
        ("/v2/x/../health/ready", "/v2/health/ready"),
        ("/v2/models/%64igits/ready", "/v2/models/digits/ready"),
    ],
)
def test_an_upstream_sees_the_path_that_was_judged(gateway: Gateway, sent: str, arrives: str) -> None:
    assert gateway.ask("GET", sent).json()["path"] == arrives


@pytest.mark.parametrize(
    "header",
    [
        {"X-Original-URL": "/v2/repository/index"},
        {"X-Rewrite-URL": "/v2/repository/index"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Envoy-Original-Path": "/v2/repository/index"},
    ],
)
def test_no_header_changes_where_a_request_goes(gateway: Gateway, header: dict[str, str]) -> None:
    answer = gateway.ask("GET", "/v2/health/ready", headers=header)
    assert (answer.json()["path"], answer.json()["method"]) == ("/v2/health/ready", "GET")


def test_clients_cannot_set_retries_and_timeouts(gateway: Gateway) -> None:
    sent = {
        "X-Envoy-Retry-On": "5xx",
        "X-Envoy-Max-Retries": "9",
        "X-Envoy-Upstream-Rq-Timeout-Ms": "1",
        "X-Envoy-Internal": "true",
    }
    arrived = gateway.ask("POST", "/score", b"{}", headers=sent).json()["headers"]
    assert not {name.lower() for name in sent} & set(arrived)


@pytest.fixture(scope="module")
def triton_only(tmp_path_factory: pytest.TempPathFactory, echo: Upstream) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("triton"), Upstreams(triton_of(echo)), concurrency=1) as started:
        yield started


def test_without_an_entry_script_the_base_uri_is_tritons(triton_only: Gateway) -> None:
    assert triton_only.ask("GET", "/v2/health/ready").json()["server"] == "triton"
    assert triton_only.ask("POST", "/v2/models/digits/infer", b"{}").json()["server"] == "triton"


def test_without_an_entry_script_the_root_answers_with_tritons_readiness(triton_only: Gateway) -> None:
    assert triton_only.ask("GET", "/?x=1").json()["path"] == "/v2/health/ready?x=1"
    assert triton_only.ask("GET", "/", key=None).status == 401


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/score"), ("GET", "/swagger.json"), ("POST", "/"), ("POST", "/v2/repository/index")]
)
def test_without_an_entry_script_nothing_else_is_served(triton_only: Gateway, method: str, path: str) -> None:
    answer = triton_only.ask(method, path)
    assert answer.status == 404
    assert "/score" not in answer.json()["error"]


def test_scoring_only_has_no_triton_to_reach(tmp_path: Path, scorer_echo: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=scorer_echo.address), concurrency=1) as scoring:
        assert scoring.ask("POST", "/score", b"{}").json()["server"] == "scorer"
        assert scoring.ask("GET", "/v2/health/ready").status == 404
        assert "/v2" not in scoring.ask("GET", "/v2/health/ready").json()["error"]
        assert scoring.stats("/metrics").json()["path"] == "/metrics"  # the scorer's own
