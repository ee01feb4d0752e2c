"""What the prover is asked for a generation, and what its answer means for the rollout."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.proving import plan as asked_of
from serving.proving.plan import Collected, Plan
from serving.proving.wire import read, write
from settings.rollout_gates import Performance, Replay
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.proving import Outcome, Proof, Servers, Side
from tests.settings.conftest import project, settings_of

__all__ = ["project", "settings_of"]

BOTH_SERVERS = Servers(scorer="http://127.0.0.1:1", triton="http://127.0.0.1:2")
REPLAY, PERFORMANCE = Replay(), Performance.model_validate({"p95Ms": 50})
SLOWDOWN = Performance.model_validate({"maxSlowdown": 1.2})
FIGURES = [
    {"step": "replay", "name": "answers that differ", "unit": "share", "new": 0.5, "limit": 0.01, "passed": False},
    {"step": "performance", "name": "p95", "unit": "ms", "old": 12.34, "new": 14.0, "limit": 50.0, "passed": True},
    {"step": "performance", "name": "slowdown", "unit": "ratio", "new": 1.13, "limit": None, "passed": True},
]


def model(name: str, datatype: str = "FP32", **changed: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": datatype, "shape": [1], "data": [1]}
    golden = {"request": {"inputs": [tensor]}, "response": {"outputs": [tensor]}}
    return {"name": name, "version": 3, "golden": golden, "outputs": [], **changed}


def side(number: int, *models: str, golden: Any = None, servers: Servers = BOTH_SERVERS) -> Side:
    return Side(number, servers, {"scorer": {"golden": golden}, "triton": {"models": [model(name) for name in models]}})


def proof(**changed: Any) -> Proof:
    values = {
        "rollout": RolloutPlan(drain_seconds=1, replay=REPLAY, performance=PERFORMANCE),
        "service_name": "web",
        "variables": {},
        "new": side(2, "m"),
        "old": side(1, "m"),
        "front_door_metrics": None,
        "run": lambda *_: Outcome(0, result()),
        "progress": lambda _: None,
    }
    return Proof(**{**values, **changed})


def result(*figures: Any, **changed: Any) -> str:
    return json.dumps({"requests": 4, "source": "golden", "figures": list(figures), **changed})


def test_a_plan_asks_models_of_no_version_and_the_script() -> None:
    plan = proof(new=side(2, "m", golden={"request": {"row": 0}, "response": 1})).plan()
    assert plan is not None
    script, asked = plan.requests
    assert (asked.to, asked.id, asked.path) == ("triton", "m", "/v2/models/m/infer")
    assert json.loads(asked.body)["inputs"][0]["data"] == [1]
    assert (script.to, script.path, json.loads(script.body)) == ("scorer", "/score", {"row": 0})
    assert read(Plan, write(plan)) == plan
    assert json.loads(write(plan)) == {
        "old": {"scorer": "http://127.0.0.1:1", "triton": "http://127.0.0.1:2"},
        "new": {"scorer": "http://127.0.0.1:1", "triton": "http://127.0.0.1:2"},
        "requests": [json.loads(write(request)) for request in plan.requests],
        "collected": None,
        "replay": {"requests": 200, "maxMismatch": 0.01, "tolerance": 0.001, "ignore": []},
        "performance": {"concurrency": 8, "seconds": 10, "p95Ms": 50, "minThroughput": None, "maxSlowdown": None},
        "frontDoorMetrics": None,
        "timeoutSeconds": 330,
    }


def test_a_golden_request_of_a_file_keeps_its_bytes_and_its_type() -> None:
    plan = proof(new=side(2, golden={"body": "AAE=", "contentType": "image/png", "response": 1})).plan()
    assert plan is not None
    (request,) = plan.requests
    assert (request.body, request.content_type) == (b"\x00\x01", "image/png")


@pytest.mark.parametrize(("variables", "service"), [({}, "web"), ({"SERVICE_NAME": "other"}, "other")])
def test_recorded_requests_are_those_of_the_services_name(variables: dict[str, str], service: str) -> None:
    plan = proof(variables={"COLLECT_URL": "/collected", **variables}).plan()
    assert plan is not None
    assert plan.collected is not None
    assert (plan.collected.url, plan.collected.service) == ("/collected", service)
    without_script = proof(variables={"COLLECT_URL": "/c"}, new=side(2, "m", servers=Servers(triton="http://t"))).plan()
    assert without_script is not None
    assert without_script.collected is None


def test_a_first_generation_is_judged_by_limits_of_its_own_alone() -> None:
    said: list[str] = []
    plan = proof(old=None, progress=said.append).plan()
    assert plan is not None
    assert (plan.old, plan.replay, plan.performance) == (None, None, asked_of.Performance(**PERFORMANCE.model_dump()))
    assert said == ["replay is left out: no generation serves to compare with"]
    rollout = RolloutPlan(drain_seconds=1, performance=SLOWDOWN)
    assert proof(old=None, progress=said.append, rollout=rollout).plan() is None
    assert "maxSlowdown alone compares" in said[-1]
    recorded = {"COLLECT_URL": "/collected"}
    assert proof(old=None, new=side(1), variables=recorded, progress=said.append).plan() is None
    assert "no golden request to load this first generation with" in said[-1]


def test_a_model_that_the_old_generation_lacks_is_not_compared() -> None:
    said: list[str] = []
    plan = proof(new=side(2, "m", "n"), progress=said.append).plan()
    assert plan is not None
    assert [request.id for request in plan.requests] == ["m"]
    assert said == ["model 'n' is new: generation 1 has nothing to compare with"]
    plan = proof(new=side(2, "n"), progress=said.append).plan()
    assert plan is not None
    assert (plan.old, plan.replay, len(plan.requests)) == (None, None, 1)


def test_a_passed_generation_tells_its_figures() -> None:
    said: list[str] = []
    run: Any = lambda *_: Outcome(0, result(*FIGURES[1:], notes=["nothing is recorded"]))  # noqa: E731
    proof(run=run, progress=said.append).judge()
    assert said == [
        "generation 2 proves itself, for 330 s at most",
        "performance: p95 14.0 ms (before 12.3 ms, limit 50.0 ms)",
        "performance: slowdown 1.13",
        "nothing is recorded",
    ]


def test_a_refused_generation_shows_every_figure_against_its_limit() -> None:
    differences = [{"request": "r1", "path": "$.p", "old": "0.1", "new": "0.9" * 100}]
    run: Any = lambda *_: Outcome(0, result(*FIGURES, differences=differences))  # noqa: E731
    with pytest.raises(ServiceError) as refused:
        proof(run=run).judge()
    lines = str(refused.value).splitlines()
    assert lines[0] == "replay refused generation 2; generation 1 serves on"
    assert [line.split() for line in lines[1:6]] == [
        ["step", "figure", "old", "new", "limit", "passed"],
        [lines[2].strip()],
        ["replay", "answers", "that", "differ", "-", "50.0%", "1.0%", "NO"],
        ["performance", "p95", "12.3", "ms", "14.0", "ms", "50.0", "ms", "yes"],
        ["performance", "slowdown", "-", "1.13", "-"],
    ]
    assert lines[6:8] == ["asked: 4 golden requests", "the largest differences, by request:"]
    assert lines[8].startswith("  r1 $.p: 0.1 before, 0.9")
    assert len(lines[8]) < 120
    assert lines[9] == "the limits are those of deployment.rollout.replay"


def test_an_estimate_shows_its_interval() -> None:
    slowdown = {"name": "slowdown of p95", "unit": "ratio", "low": 1.21, "high": 1.4, "limit": 1.2}
    figure = {"step": "performance", "new": 1.3, "passed": False, **slowdown}
    with pytest.raises(ServiceError, match=r"slowdown of p95 +- +1\.30 \(1\.21 to 1\.40\) +1\.20 +NO"):
        proof(run=lambda *_: Outcome(0, result(figure))).judge()
    said: list[str] = []
    proof(run=lambda *_: Outcome(0, result({**figure, "passed": True})), progress=said.append).judge()
    assert said[1] == "performance: slowdown of p95 1.30 (1.21 to 1.40, limit 1.20)"


def test_a_version_for_which_there_was_nothing_to_send_passes_and_is_told_so() -> None:
    said: list[str] = []
    proof(run=lambda *_: Outcome(0, result(notes=["replay had nothing to send: ..."])), progress=said.append).judge()
    assert said[1:] == ["replay had nothing to send: ..."]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(None, ""), "gave no verdict in its time"),
        (Outcome(2, "", ("a", "nothing to send")), "ended with status 2.*nothing to send"),
        (Outcome(0, "{}"), "gave no verdict that this version"),
    ],
)
def test_a_prover_without_a_verdict_lets_nobody_through(outcome: Outcome, words: str) -> None:
    with pytest.raises(ServiceError, match=f"(?s)the prover of generation 2 {words}") as refused:
        proof(run=lambda *_: outcome).judge()
    assert "generation 1 serves on" in str(refused.value)


def test_without_gates_nothing_is_run() -> None:
    def run(*_: Any) -> Outcome:
        raise AssertionError

    proof(rollout=RolloutPlan(drain_seconds=1), run=run).judge()


def test_a_golden_inference_of_16_bit_floats_is_sent_as_binary_data() -> None:
    plan = proof(new=Side(2, BOTH_SERVERS, {"triton": {"models": [model("m", "FP16")]}})).plan()
    assert plan is not None
    (request,) = plan.requests
    assert request.head_bytes is not None
    assert json.loads(request.body[: request.head_bytes])["inputs"][0]["parameters"] == {"binary_data_size": 2}
    assert request.content_type == "application/octet-stream"


def test_requests_to_triton_are_sent_where_there_is_a_recorder_of_them() -> None:
    variables = {"COLLECT_URL": "/c"}
    plan = proof(variables=variables, records=True).plan()
    assert plan is not None
    assert plan.collected == Collected("/c", "web", ("scorer", "triton"))
    triton = side(2, "m", servers=Servers(triton="http://t"))
    alone = proof(variables=variables, records=True, new=triton).plan()
    assert alone is not None
    assert alone.collected == Collected("/c", "web", ("triton",))
