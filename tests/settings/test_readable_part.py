"""What has a valid form is judged beside the mistakes of form, and only for what the writer did wrong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from settings.load import load
from settings.stack_reader import file_of
from tests.settings.conftest import VALID, Check, merged, mistakes_of

JWT = {"issuer": "https://login.example.org", "audience": "triton", "jwksUri": "http://login.example.org/keys"}
CLIENTS: list[dict[str, Any]] = [
    {"name": "first", "models": ["digits"], "requestsPerSecond": 5, "jwt": JWT},
    {"name": "twice", "models": ["nowhere"], "score": True, "maxConcurrent": 2**40, "keyRotation": {"primary": 2}},
    {"name": "twice", "jwt": {**JWT, "claims": {"roles": "scorer"}, "caFile": "none.pem"}},
    {"name": "edge", "certificate": {"caFile": "none.pem", "subject": "edge", "withKey": False}, "score": True},
]
ROLLOUT = {
    "strategy": "surge",
    "drainSeconds": 5,
    "replay": {"requests": 5, "ignore": ["$.id"]},
    "performance": {"concurrency": 500, "maxSlowdown": 1.2},
    "steps": [
        {"setWeight": 50, "pause": "1m"},
        {"setWeight": 20, "pause": "1m"},
        {"mirror": 5, "pause": "5m"},
    ],
    "analysis": {"minRequests": 5},
}
DEPLOYMENT = {
    "target": "process",
    "gpuCores": 1,
    "cpuCores": 16,
    "memoryGb": 64,
    "authEnabled": True,
    "public": True,
    "port": 6789,
    "metricsPort": 6789,
    "maxRequestsPerSecond": 2**40,
    "maxRequestMegabytes": 2**20,
    "scoringTimeoutMs": 1000,
    "rateLimitService": {"address": "127.0.0.1:8081", "timeoutMs": 50},
    "recordRequests": {"sample": 0.5},
    "rollout": ROLLOUT,
}
OTEL = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_SAMPLER": "xray"}
COMMON: dict[str, Any] = {
    "models": [{"path": "models", "name": "digits", "tags": {"a": "b"}}, {"path": "nowhere", "name": "other"}],
    "registry": ".var/registry",
    "sourceDirectory": "scripts",
    "tls": {"certificateFile": "none.crt", "keyFile": "none.key"},
    "clients": CLIENTS,
    "environment": {"variables": {**OTEL, "WORKER_COUNT": "many"}, "pipPackages": ["nltk", "a b"]},
    "keyRotation": {"primary": 2},
    "primaryKey": "a-key-of-a-users-own",
    "secondaryKey": "a-key-of-a-users-own",
    "deployment": DEPLOYMENT,
}
POOL: dict[str, Any] = {
    "deployment": {"target": "node-pool", "computeTargetName": "aks-gpuu"},
    "image": {"reference": "r.example.com/t@sha256:" + "a" * 64, "baseImage": "r.example.com/b:1", "username": "me"},
    "nodePool": {
        "numReplicas": 2,
        "pool": "-a",
        "shmMb": 2**20,
        "memoryGbLimit": 1,
        "podLabels": {"-": "x"},
        "tolerations": [{"key": "a", "operator": "Exists", "value": "b"}, {"key": "a"}],
        "exposure": {"kind": "ingress", "sourceRanges": ["x"], "tlsSecret": "tls"},
        "autoscale": {"minReplicas": 0, "maxReplicas": 0, "by": "cpu"},
        "createNamespace": True,
        "imagePullSecrets": ["pull"],
    },
}
DOCKER = {"deployment": {"target": "docker"}, "docker": {"shmMb": 64}, "image": {"username": "me"}}
WHOLE = [merged(VALID, COMMON), merged(merged(VALID, COMMON), POOL), merged(merged(VALID, COMMON), DOCKER)]
NOT_GIVEN = ["serviceName", "description", "imagePassword", "nodePool", "docker", "image", "clientz", "port", "version"]

Place = tuple[int | str, ...]


def places(tree: Any, before: Place = ()) -> Iterator[Place]:
    """Every place in a tree of settings."""
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, value in members:
        yield (*before, step)
        yield from places(value, (*before, step))


PLACES = [[*places(tree), *((name,) for name in NOT_GIVEN)] for tree in WHOLE]
FREE_NAMES = {"variables", "tags", "podLabels", "claims"}


def spoiled(tree: dict[str, Any], spots: list[tuple[Place, bool]]) -> dict[str, Any]:
    """The tree with a value of no setting's type at each place, or with a wrong name for what stands there."""
    spoiled = copy.deepcopy(tree)
    for place, renamed in spots:
        *way, last = place
        group: Any = spoiled
        try:
            for step in way:
                group = group[step]
            if renamed and isinstance(group, dict) and not FREE_NAMES & set(way):
                group[f"{last}s"] = group.pop(last)
            else:
                group[last] = [[]]
        except (KeyError, IndexError, TypeError):
            continue  # another one was here before
    return spoiled


def test_mistakes_of_both_kinds_are_told_at_once(mistakes: Check) -> None:
    clients = [
        {"name": "first", "requestsPerSecond": "many", "jwt": JWT},
        {"name": "second", "models": ["nowhere"], "requestsPerSecond": 5},
        {"jwt": {**JWT, "claims": {"roles": "scorer"}}},
        {"name": "edge", "certificate": {"caFile": "none.pem", "subject": "CN=edge"}, "maxConcurrent": []},
    ]
    deployment = {"port": "http", "public": True, "rateLimitService": {"address": "limits:8081"}}
    found = mistakes({"clients": clients, "deployment": deployment})
    assert [mistake.split(":")[0].split(" has the value")[0] for mistake in found] == [
        "deployment.port",
        "clients[0].requestsPerSecond",
        "clients[2].name",
        "clients[3].maxConcurrent",
        "tls",
        "deployment.maxRequestsPerSecond",
        "clients[0].jwt.jwksUri",
        "clients[1].models[0]",
        "clients[3].certificate",
        "clients[3].certificate.caFile",
    ]


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        (
            {
                "clients": [{"name": "a", "requestsPerSecond": "x"}],
                "deployment": {"rateLimitService": {"address": "l:1"}},
            },
            ["clients[0].requestsPerSecond"],
        ),
        (
            {"tls": {"keyFile": "a"}, "clients": [{"name": "a", "certificate": {"caFile": "b", "subject": "CN=a"}}]},
            ["tls.certificateFile", "clients[0].certificate.caFile"],
        ),
        ({"environment": {"variables": 5}, "deployment": {"recordRequests": {}}}, ["environment.variables"]),
        (
            {"entryScript": [], "clients": [{"name": "a", "models": ["digits"], "score": True}]},
            ["entryScript"],
        ),
    ],
)
def test_no_rule_judges_by_a_default_in_the_place_of_a_wrong_value(
    mistakes: Check, changes: dict[str, Any], paths: list[str]
) -> None:
    assert [mistake.split(":")[0].split(" has the value")[0] for mistake in mistakes(changes)] == paths


@hypothesis_settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_mistake_is_told_that_is_none_once_the_form_is_mended(project: Path, data: st.DataObject) -> None:
    which = data.draw(st.sampled_from(range(len(WHOLE))))
    spots = st.lists(st.tuples(st.sampled_from(PLACES[which]), st.booleans()), min_size=1, max_size=3)
    values = spoiled(WHOLE[which], data.draw(spots))

    def told(values: dict[str, Any], *, form_alone: bool = False) -> set[str]:
        found = mistakes_of(lambda: load(values, subject=file_of("test"), project=project, form_alone=form_alone))
        return {str(mistake) for mistake in found}

    of_form = told(values, form_alone=True)
    assert told(values) - of_form <= told(WHOLE[which])
