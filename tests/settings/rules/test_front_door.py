"""What Envoy could not be started with is told at preview, by name."""

from __future__ import annotations

from typing import Any

import pytest

from settings.schema import Settings
from tests.settings.conftest import Check

YEAR = 31_536_000


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        ({"scoringTimeoutMs": 10**15}, [f"scoringTimeoutMs has the value {10**15}: expected at most {YEAR * 1000}"]),
        ({"maxRequestMegabytes": 10**6}, ["maxRequestMegabytes has the value 1000000: expected at most 4094"]),
        (
            {"maxRequestsPerSecond": 2**32},
            [f"maxRequestsPerSecond has the value {2**32}: expected at most {2**32 - 1}"],
        ),
        (
            {"rollout": {"drainSeconds": 10**12}},
            [f"rollout.drainSeconds has the value {10**12}: expected at most {YEAR}"],
        ),
    ],
)
def test_a_number_beyond_what_envoy_takes(mistakes: Check, deployment: dict[str, Any], expected: list[str]) -> None:
    found = mistakes({"deployment": deployment})
    assert found == [f"deployment.{line}, the most that the front door takes" for line in expected]


@pytest.mark.parametrize("origin", ["www.example.com", "https://a.example/", "https://*.example.com", 'https://a"b'])
def test_an_origin_that_no_browser_sends(mistakes: Check, origin: str) -> None:
    (found,) = mistakes({"environment": {"variables": {"AML_CORS_ORIGINS": f"https://a.example, {origin}"}}})
    assert found.startswith(f"environment.variables.AML_CORS_ORIGINS: {origin!r} is no origin; write it as browsers")


@pytest.mark.parametrize("origins", ["*", "", "https://a.example,http://localhost:3000"])
def test_origins_as_browsers_send_them(mistakes: Check, origins: str) -> None:
    assert mistakes({"environment": {"variables": {"AML_CORS_ORIGINS": origins}}}) == []


def test_a_front_door_that_cannot_hold_a_request(mistakes: Check) -> None:
    pool = {
        "deployment": {"target": "node-pool", "computeTargetName": "aks-gpu", "maxRequestMegabytes": 200},
        "image": {"repository": "registry.example/service"},
    }
    assert [line for line in mistakes(pool) if "frontDoor" in line] == [
        "nodePool.frontDoor.memoryMb has the value 512: expected at least 1056: the front door holds requests as a "
        "whole, of up to deployment.maxRequestMegabytes 200 each"
    ]
    assert [
        line for line in mistakes({**pool, "nodePool": {"frontDoor": {"memoryMb": 1056}}}) if "frontDoor" in line
    ] == []
    assert Settings.model_fields["node_pool"].default.front_door.memory_mb == 512


def test_metrics_have_a_port_of_their_own(mistakes: Check) -> None:
    assert mistakes({"deployment": {"metricsPort": 9901}}) == []
    assert mistakes({"deployment": {"metricsPort": 6789}}) == [
        "deployment.metricsPort has the value 6789: expected another port than deployment.port, where clients come in"
    ]
    assert mistakes({"deployment": {"metricsPort": 0}}) == [
        "deployment.metricsPort has the value 0: expected at least 1"
    ]


def test_a_node_pool_takes_no_port_for_metrics(mistakes: Check) -> None:
    image = {"reference": f"registry.example/service@sha256:{'0' * 64}"}
    pool = {"target": "node-pool", "computeTargetName": "aks-gpu", "gpuCores": 1, "metricsPort": 9901}
    assert mistakes({"image": image, "deployment": pool}) == [
        "deployment.metricsPort has the value 9901: is for the targets 'process' and 'docker': on 'node-pool' each pod "
        "has its metrics at a port of its own, and nodePool.monitoring leads Prometheus there; remove it"
    ]
