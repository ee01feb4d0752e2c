"""Traces: every variable with which none could be had is told at preview, and no value that may be secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from settings.requirements_file import pip_packages
from settings.schema import Settings
from tests.settings.conftest import Check

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SDK, EXPORTER = "opentelemetry-sdk>=1.30,<2", "opentelemetry-exporter-otlp-proto-http>=1.30,<2"


def variables(**values: str) -> dict[str, Any]:
    return {"environment": {"variables": values}}


def test_a_collector_of_this_machine_serves_this_machine_alone(mistakes: Check) -> None:
    local = variables(**{ENDPOINT: "http://localhost:4318"})
    assert mistakes(local) == []
    assert mistakes({**local, "deployment": {"target": "docker"}}) == [
        f"environment.variables.{ENDPOINT} has the value 'http://localhost:4318': expected the collector's address on "
        "the network: in a container localhost is the container itself"
    ]


def test_every_mistake_is_told_and_no_header(mistakes: Check) -> None:
    wrong = {
        ENDPOINT: "http://collector:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hidden",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_TRACES_SAMPLER": "jaeger_remote",
    }
    found = mistakes(variables(**wrong))
    assert [line.split(":")[0].split(" ")[0] for line in found] == [
        "environment.variables.OTEL_EXPORTER_OTLP_PROTOCOL",
        "environment.variables.OTEL_EXPORTER_OTLP_HEADERS",
        "environment.variables.OTEL_TRACES_SAMPLER",
    ]
    assert "hidden" not in "".join(found)


def test_the_environment_gets_what_traces_need_unless_the_user_names_it(
    settings_of: Callable[..., Settings],
) -> None:
    def packages(*asked: str, **values: str) -> list[str]:
        changes = {"environment": {"pipPackages": list(asked), "variables": values}}
        return pip_packages(settings_of(changes).environment)

    given = {ENDPOINT: "http://collector:4318"}
    assert packages("nltk") == ["nltk"]
    assert packages("nltk", **given) == ["nltk", SDK, EXPORTER]
    assert packages("OpenTelemetry_SDK==1.31", **given) == ["OpenTelemetry_SDK==1.31", EXPORTER]
    assert packages("nltk", OTEL_TRACES_SAMPLER="always_off", **given) == ["nltk"]
