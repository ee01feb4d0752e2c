"""What people may look at (readiness, metrics, logs), and that no key is ever in it."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.front_door_options import Upstreams
from gateway.keys import make_key
from tests.gateway.conftest import Gateway, Upstream, running, triton_of
from tests.waiting import eventually


@pytest.fixture
def observed(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    with running(tmp_path, Upstreams(triton_of(echo), scorer_echo.address)) as gateway:
        yield gateway


def test_readiness_and_metrics_need_no_key(gateway: Gateway) -> None:
    assert gateway.stats("/ready").body == b"LIVE\n"
    assert gateway.stats("/metrics").json()["path"] == "/metrics"  # Triton's own
    assert gateway.stats("/scorer/metrics").json()["path"] == "/metrics"  # the entry script server's
    metrics = gateway.stats("/stats/prometheus")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="front_door"}' in metrics.body
    for cluster in (b"triton", b"triton_grpc", b"scorer"):
        assert b'envoy_cluster_upstream_cx_total{envoy_cluster_name="%s"}' % cluster in metrics.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config_dump"),
        ("GET", "/stats"),
        ("GET", "/clusters"),
        ("GET", "/"),
        ("POST", "/ready"),
        ("POST", "/quitquitquit"),
        ("POST", "/drain_listeners"),
        ("GET", "/stats/prometheus/../../config_dump"),
        ("GET", "/stats/prometheus%2f..%2f..%2fconfig_dump"),
        ("GET", "//config_dump"),
        ("POST", "/ready/../quitquitquit"),
    ],
)
def test_the_statistics_port_is_no_way_to_the_admin_interface(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.stats(path, method)
    assert answer.status in (400, 404)
    assert gateway.ask("GET", "/").status == 200


def test_what_people_ask_is_counted(observed: Gateway) -> None:
    def count(line: bytes) -> int:
        found = [text for text in observed.stats("/stats/prometheus").body.splitlines() if text.startswith(line)]
        return int(found[0].rsplit(b" ", 1)[1]) if found else 0

    for key in (observed.keys.primary, observed.keys.secondary, make_key()):
        observed.ask("POST", "/score", b"{}", key=key)
    responses = (
        b'envoy_http_downstream_rq_xx{envoy_response_code_class="%d",envoy_http_conn_manager_prefix="front_door"}'
    )
    eventually(lambda: (count(responses % 2), count(responses % 4)) == (2, 1))


def test_a_request_id_is_kept_or_made_and_given_back(gateway: Gateway) -> None:
    answer = gateway.ask("POST", "/score", b"{}", headers={"X-Request-Id": "order-7"})
    assert answer.headers["x-request-id"] == answer.json()["headers"]["x-request-id"] == "order-7"
    assert len(gateway.ask("GET", "/nowhere").headers["x-request-id"]) == 36


def test_no_key_is_in_dumps_metrics_or_logs(observed: Gateway) -> None:
    wrong = make_key()
    observed.ask("GET", "/")
    observed.ask("GET", f"/?key={observed.keys.primary}")
    observed.ask("POST", f"/score?key={observed.keys.secondary}", b"{}", key=wrong)
    observed.ask("GET", "/v2", headers={"Authorization": f"Basic {observed.keys.primary}"}, key=None)
    eventually(lambda: len(observed.log_lines()) == 4)

    shown = {"access log": observed.access_log.read_text(), "log": observed.log.read_text()}
    shown["metrics"] = observed.stats("/stats/prometheus").body.decode()
    for path in ("/stats", "/clusters", "/stats/prometheus"):
        status, body = observed.admin._request("GET", path)
        assert status == 200
        shown[path] = body.decode()
    # Whatever prints the configuration prints the keys.
    for path in ("/config_dump", "/config_dump?include_eds", "/init_dump", "/server_info", "/certs", "/memory", "/"):
        status, body = observed.admin._request("GET", path)
        assert status == 403
        shown[path] = body.decode()
    keys = (observed.keys.primary, observed.keys.secondary, wrong)
    assert not [place for place, text in shown.items() for key in keys if key in text]


def test_no_key_is_on_a_command_line_or_in_an_environment(observed: Gateway) -> None:
    proc = Path("/proc", str(observed.process.pid))
    for file in ("cmdline", "environ"):
        assert observed.keys.primary.encode() not in (proc / file).read_bytes()
    assert stat.S_IMODE((observed.directory / "admin.sock").stat().st_mode) == 0o600


@pytest.fixture
def balanced(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    """Behind a load balancer that knows the front door's port alone."""
    with running(tmp_path, Upstreams(triton_of(echo), scorer_echo.address), health_path="/healthz") as gateway:
        yield gateway


def test_a_balancer_asks_for_health_without_a_key_and_gets_nothing_else_so(balanced: Gateway) -> None:
    healthy = balanced.ask("GET", "/healthz", key=None)
    assert (healthy.status, healthy.json()) == (200, {"status": "ready"})
    assert balanced.ask("HEAD", "/healthz", key=None).status == 200
    for path in ("/", "/healthz/", "/healthz/../score", "/healthz?x=1", "/healthz;/score", "//healthz/score", "/score"):
        assert balanced.ask("GET", path, key=None).status == 401


def test_health_fails_before_the_front_door_closes(balanced: Gateway) -> None:
    with contextlib.closing(balanced.connect()) as connection:
        assert balanced.ask("POST", "/score", b"{}", connection=connection).status == 200
        assert balanced.admin._request("POST", "/healthcheck/fail")[0] == 200
        failed = balanced.ask("GET", "/healthz", key=None)
        assert (failed.status, failed.json()) == (503, {"error": "the front door is closing"})
        answered = balanced.ask("POST", "/score", b"{}", connection=connection)
        assert (answered.status, answered.headers["connection"]) == (200, "close")
        assert balanced.ask("POST", "/score", b"{}").status == 200


def test_checks_of_health_are_neither_logged_nor_counted_as_requests(balanced: Gateway) -> None:
    for _ in range(5):
        balanced.ask("GET", "/healthz", key=None)
    balanced.ask("POST", "/score", b"{}", key=None)
    balanced.ask("POST", "/score", b"{}")
    eventually(lambda: len(balanced.log_lines()) == 2)
    assert [line["path"] for line in balanced.log_lines()] == ["/score", "/score"]
    metrics = balanced.stats("/stats/prometheus").body.decode()
    door = 'envoy_http_conn_manager_prefix="front_door"'
    assert f"envoy_http_downstream_rq_completed{{{door}}} 2\n" in metrics
    by_class = re.findall(
        rf'envoy_http_downstream_rq_xx{{envoy_response_code_class="(.)",{door}}} ([1-9]\d*)\n', metrics
    )
    assert by_class == [("2", "1"), ("4", "1")]


def test_without_the_option_there_is_no_such_path(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/healthz", key=None).status == 401
