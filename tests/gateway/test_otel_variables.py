"""OpenTelemetry's variables decide on traces; those with which none could be had are told, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import otel_variables
from gateway.otel_variables import Traces, mistakes, traces_of
from gateway.traces import TRACED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "traces.md"

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
URL = "http://collector:4318/v1/traces"
SECURE, CERTIFICATE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"}, "OTEL_EXPORTER_OTLP_CERTIFICATE"
SAMPLER, SHARE = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {SAMPLER: "always_on"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, SAMPLER: "always_off"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_without_an_endpoint_or_switched_off_there_are_no_traces(variables: dict[str, str]) -> None:
    assert traces_of(variables, "web") is None
    assert not list(mistakes(variables, in_container=True))


@pytest.mark.parametrize(
    ("variables", "traces"),
    [
        ({}, Traces(url=URL, service="web")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}, Traces(url=URL, service="web")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c/otlp"}, Traces(url="http://c/otlp/v1/traces", service="web")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:9/in"}, Traces(url="http://t:9/in", service="web")),
        ({SAMPLER: "always_on"}, Traces(url=URL, service="web", follows_client=False)),
        (
            {SAMPLER: "traceidratio", SHARE: "0.01"},
            Traces(url=URL, service="web", follows_client=False, millionth=10**4),
        ),
        ({SAMPLER: "parentbased_traceidratio", SHARE: "1e-6"}, Traces(url=URL, service="web", millionth=1)),
        ({SAMPLER: "parentbased_traceidratio"}, Traces(url=URL, service="web")),
        ({SAMPLER: "parentbased_always_off"}, Traces(url=URL, service="web", millionth=0)),
        ({"OTEL_SERVICE_NAME": "wines"}, Traces(url=URL, service="wines")),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=cellar, team=risk,place=a%2Cb"},
            Traces(url=URL, service="cellar", attributes={"team": "risk", "place": "a,b"}),
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, Traces(url=URL, service="web")),
        (SECURE, Traces(url="https://c/v1/traces", service="web")),
        ({CERTIFICATE: "/unused.pem"}, Traces(url=URL, service="web")),
    ],
)
def test_the_variables_say_which_requests_have_a_trace_and_where_spans_go(
    variables: dict[str, str], traces: Traces
) -> None:
    assert not list(mistakes(ENDPOINT | variables, in_container=True))
    assert traces_of(ENDPOINT | variables, "web") == traces


@pytest.mark.parametrize(
    ("variables", "name", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:pw@c"}, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:x"}, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://c:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ({**SECURE, CERTIFICATE: "/ca.pem"}, CERTIFICATE, "no container has this file"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "in a container localhost is the container itself",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL", "expected 'http/protobuf'"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=x"}, "OTEL_EXPORTER_OTLP_HEADERS", "run an OpenTelemetry Collector"),
        ({"OTEL_PROPAGATORS": "b3"}, "OTEL_PROPAGATORS", "expected 'tracecontext'"),
        ({SAMPLER: "xray"}, SAMPLER, "parentbased_traceidratio"),
        ({SHARE: "0.01"}, SHARE, "set OTEL_TRACES_SAMPLER to 'parentbased_traceidratio'"),
        ({SAMPLER: "traceidratio", SHARE: "1%"}, SHARE, "a share of the requests from 0 to 1"),
        ({SAMPLER: "traceidratio", SHARE: "1e-7"}, SHARE, "the least is 0.000001"),
        ({SAMPLER: "traceidratio", SHARE: "nan"}, SHARE, "a share of the requests from 0 to 1"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team"}, "OTEL_RESOURCE_ATTRIBUTES", "'team' is none"),
    ],
)
def test_a_variable_with_which_no_trace_can_be_had_is_told(variables: dict[str, str], name: str, expected: str) -> None:
    ((found, said),) = mistakes(ENDPOINT | variables, in_container=True)
    assert found == name
    assert expected in said


def test_a_wrong_share_is_told_beside_a_wrong_sampler() -> None:
    told = [name for name, _ in mistakes(ENDPOINT | {SAMPLER: "xray", SHARE: "2"}, in_container=True)]
    assert told == [SAMPLER, SHARE]


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert not list(mistakes(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, in_container=True))


def test_a_script_that_sends_spans_by_itself_has_a_way_out() -> None:
    alone = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    told = list(mistakes(ENDPOINT | alone, in_container=True))
    assert len(told) == 2
    assert all("set OTEL_TRACES_EXPORTER to 'none'" in said for _, said in told)
    assert not list(mistakes(ENDPOINT | alone | {"OTEL_TRACES_EXPORTER": "none"}, in_container=True))


def test_every_mistake_is_told_at_once() -> None:
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", SAMPLER: "some", "OTEL_RESOURCE_ATTRIBUTES": "a,b"}
    assert len(list(mistakes(ENDPOINT | variables, in_container=False))) == 4


def test_a_process_of_this_machine_reaches_a_collector_on_it() -> None:
    assert not list(mistakes({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, in_container=False))


def test_on_this_machine_a_file_of_certificates_may_vouch_for_the_collector(tmp_path: Path) -> None:
    of_traces, file = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", tmp_path / "ca.pem"
    file.touch()
    for variables in ({CERTIFICATE: str(file)}, {CERTIFICATE: "/other.pem", of_traces: str(file)}):
        assert not list(mistakes({**SECURE, **variables}, in_container=False))
        traces = traces_of({**SECURE, **variables}, "web")
        assert traces is not None
        assert traces.roots == str(file)
    for wrong in ("ca.pem", str(tmp_path / "missing.pem")):
        ((name, said),) = mistakes({**SECURE, of_traces: wrong}, in_container=False)
        assert (name, "expected the absolute path" in said) == (of_traces, True)


def test_the_page_names_every_sampler_and_every_variable() -> None:
    page, source = PAGE.read_text(), Path(otel_variables.__file__).read_text()
    told = [
        text for text in re.findall(r'"(OTEL_[A-Z_]+)"', source) if not text.endswith(("HEADERS", "TRACES_PROTOCOL"))
    ]
    assert [name for name in told if f"`{name}" not in page and f" {name}:" not in page] == []
    (samplers,) = [said for _, said in mistakes(ENDPOINT | {SAMPLER: "?"}, in_container=False)]
    names = samplers.removeprefix("expected one of ").split(", ")
    assert [name for name in names if f"| `{name}`" not in page] == []
    (named,) = re.findall(r"^\| (`score`.*?), \.\.\. \|", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", named)) <= TRACED
