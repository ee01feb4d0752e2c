"""The front door's part of traces: without them its files are those of before, and it alone decides for Triton."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.x509.oid import NameOID

from gateway import envoy_files
from gateway.front_door_options import Candidate, Options, Triton, Upstreams, loopback
from gateway.otel_variables import Traces
from tests.certificates import Authority
from tests.gateway.conftest import Gateway, Upstream, running, triton_of, upstream
from tests.otlp_sink import Sink, collector
from tests.waiting import eventually

INFER, SCORE = "/v2/models/m/infer", "/score"
OTHERS = ("/", "/v2", "/v2/health/ready", "/v2/models/m", "/swagger.json", "/nothing")


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with collector() as started:
        yield started


def door(folder: Path, sink: Sink, echo: Upstream, **traces: Any) -> Any:
    options = Traces(url=f"{sink.url}/v1/traces", service="web", **traces)
    return running(folder, Upstreams(triton_of(echo), echo.address, generation="7"), traces=options)


def header(flags: str = "01") -> str:
    return f"00-{uuid4().hex}-{'b' * 16}-{flags}"


def passed_on(gateway: Gateway, path: str, sent: str | None = None) -> str | None:
    """The `traceparent` that the server gets of a request with this one."""
    answer = gateway.ask("POST", path, b"{}", {} if sent is None else {"traceparent": sent, "tracestate": "a=b"})
    headers: dict[str, str] = answer.json()["headers"]
    assert "traceparent" in headers or path == SCORE or "tracestate" not in headers
    return headers.get("traceparent")


def test_without_traces_no_line_of_any_file_differs() -> None:
    upstreams = Upstreams(Triton(loopback(8000), loopback(8001), loopback(8002)), loopback(5001))
    options = Options(upstreams, "/gateway", access_log=True, candidate=Candidate(upstreams))
    without = envoy_files.render(options)
    of_traces = ("tracing", "opentelemetry", "only_with_a_trace", "collector")
    assert not [(name, word) for name, text in without.items() for word in of_traces if word in text]
    having = envoy_files.render(replace(options, traces=Traces(url="http://c:4318/v1/traces", service="web")))
    changed = {name for name, text in having.items() if text != without.get(name)}
    assert changed == {"listeners.json", "clusters.json", "routes.json"}, "Envoy would have to start anew"
    filtered = {
        cluster["name"]
        for cluster in json.loads(having["clusters.json"])["resources"]
        if "only_with_a_trace" in json.dumps(cluster)
    }
    assert filtered == {f"{name}{end}" for name in ("triton", "triton_grpc") for end in ("", "-candidate", "-mirror")}


def test_a_client_decides_where_the_sampler_follows_it(tmp_path: Path, sink: Sink, echo: Upstream) -> None:
    with door(tmp_path, sink, echo, millionth=0) as gateway:
        assert passed_on(gateway, INFER) is None
        assert passed_on(gateway, INFER, header("00")) is None
        assert passed_on(gateway, INFER, "nonsense") is None
        sent = header()
        _, trace, span, flags = str(passed_on(gateway, INFER, sent)).split("-")
        assert (trace, flags) == (sent[3:35], "01")
        spans = sink.trace(trace, "infer")
        assert (spans["infer"].id, spans["infer"].parent) == (span, "b" * 16)
        # The scorer always gets the header: what the script does by itself learns of the decision.
        assert str(passed_on(gateway, SCORE)).endswith("-00")
        assert str(passed_on(gateway, SCORE, sent)).endswith("-01")


@pytest.mark.parametrize("path", [INFER, SCORE])
def test_no_client_decides_where_the_sampler_follows_none(
    tmp_path: Path, sink: Sink, echo: Upstream, path: str
) -> None:
    with door(tmp_path, sink, echo, millionth=0, follows_client=False) as gateway:
        assert not str(passed_on(gateway, path, header())).endswith("-01")


def test_a_share_of_the_requests_has_traces(tmp_path: Path, sink: Sink, echo: Upstream) -> None:
    with door(tmp_path, sink, echo, millionth=250_000) as gateway:
        chosen = [passed_on(gateway, INFER) for _ in range(200)]
    assert 20 < len([trace for trace in chosen if trace]) < 90


def test_requests_of_other_routes_have_no_trace_but_a_trace_id_in_the_log(
    tmp_path: Path, sink: Sink, echo: Upstream
) -> None:
    with door(tmp_path, sink, echo) as gateway:
        for path in OTHERS:
            gateway.ask("GET", path)
        sent = header()
        gateway.ask("GET", "/v2/models/m", headers={"traceparent": sent})
        trace = str(passed_on(gateway, INFER))[3:35]
        assert sink.trace(trace, "infer")["infer"].attributes["upstream_cluster"] == "triton"
        of_others = {line["traceId"] for line in gateway.log_lines() if line["route"] != "infer"}
    assert sent[3:35] in of_others
    assert len(of_others) == len(OTHERS) + 1
    assert not [span for span in sink.spans if span.trace in of_others]


def test_a_copy_has_no_part_in_the_trace_of_its_request(tmp_path: Path, sink: Sink, echo: Upstream) -> None:
    traces = Traces(url=f"{sink.url}/v1/traces", service="web")
    with upstream("copies") as copies:
        upstreams = Upstreams(triton_of(echo), echo.address, copies.address, generation="7")
        candidate = Candidate(Upstreams(triton_of(copies), copies.address), mirror=100)
        with running(tmp_path, upstreams, traces=traces, candidate=candidate, recorded=1.0) as gateway:
            found = [str(passed_on(gateway, path))[3:35] for path in (INFER, SCORE)]
            eventually(lambda: copies.requests == 3, "the recorder's copy and the candidate's two")
            sink.trace(str(passed_on(gateway, INFER))[3:35], "infer")  # whatever ended before has come too
    assert [[span.name for span in sink.of(trace)] for trace in found] == [["infer"], ["score"]]


def test_a_span_has_no_query_string_and_no_key(tmp_path: Path, sink: Sink, echo: Upstream) -> None:
    with door(tmp_path, sink, echo, attributes={"team": "risk"}) as gateway:
        trace = str(passed_on(gateway, f"{SCORE}?secret=input"))[3:35]
        span = sink.trace(trace, "score")["score"]
    assert span.attributes["http.url"] == SCORE
    assert (span.resource["service.name"], span.resource["team"]) == ("web-door", "risk")
    assert "secret" not in str(span)
    assert gateway.keys.primary not in str(span)


@pytest.mark.parametrize("named", ["127.0.0.1", "other.example.org"])
def test_spans_go_by_tls_to_a_collector_whose_certificate_names_it(tmp_path: Path, echo: Upstream, named: str) -> None:
    authority = Authority(tmp_path / "ca")
    certified = authority.issue((NameOID.COMMON_NAME, "collector"), host=named)
    with collector(certified=certified) as sink:
        traces = Traces(url=f"{sink.url}/v1/traces", service="web")
        upstreams = Upstreams(triton_of(echo), echo.address, generation="7")
        with running(tmp_path / "door", upstreams, traces=traces, trusted_roots=str(authority.file)) as gateway:
            trace = str(passed_on(gateway, INFER))[3:35]
            if named == "127.0.0.1":
                sink.trace(trace, "infer")
                return
            refused = re.compile(r'envoy_cluster_ssl_fail_verify_san\{envoy_cluster_name="collector"\} [1-9]')
            eventually(lambda: refused.search(gateway.stats("/stats/prometheus").body.decode()))
            assert sink.spans == []
