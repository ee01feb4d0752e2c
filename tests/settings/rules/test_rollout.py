"""The gates of a rollout are refused at preview where they could not judge, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.settings.conftest import Check

BOTH: dict[str, Any] = {"replay": {}, "performance": {"p95Ms": 50}}
PATH = "deployment.rollout"
NO_LIMIT = "expected at least one of p95Ms, minThroughput and maxSlowdown: without a limit no version fails"
TOO_MANY = "expected at most 64, 64 for each of deployment.cpuCores (1): more would measure the queue"


def wanted(rollout: dict[str, Any], **deployment: Any) -> dict[str, Any]:
    return {"deployment": {"rollout": rollout, **deployment}}


def test_gates_that_can_judge_are_no_mistake(mistakes: Check) -> None:
    assert mistakes(wanted({**BOTH, "replay": {"requests": 5, "ignore": ["$.id"]}})) == []


def test_recreate_has_nothing_to_compare_with(mistakes: Check) -> None:
    rollout = {"strategy": "recreate", "replay": {}, "performance": {"maxSlowdown": 1.2, "concurrency": 65}}
    instead = "leave it out, or set deployment.rollout.strategy to 'surge'"
    assert mistakes(wanted(rollout)) == [
        f"{PATH}.replay: compares with the old version, which strategy 'recreate' stops first; {instead}",
        f"{PATH}.performance.maxSlowdown has the value 1.2: compares with the old version, which strategy 'recreate' "
        f"stops first; {instead}",
        f"{PATH}.performance.concurrency has the value 65: {TOO_MANY}",
    ]


def test_a_performance_that_nothing_limits_is_refused(mistakes: Check) -> None:
    assert mistakes(wanted({"performance": {"seconds": 5}})) == [f"{PATH}.performance: {NO_LIMIT}"]


def test_form_and_rules_are_told_at_once(mistakes: Check) -> None:
    rollout = {"replay": {"ignore": ["$..id"], "maxMismatch": 2}, "performance": {"concurrency": 65, "seconds": 5}}
    found = mistakes(wanted({**rollout, "drainSeconds": -1}))
    assert found == [
        f"{PATH}.drainSeconds has the value -1: expected at least 0",
        f"{PATH}.replay.maxMismatch has the value 2: expected a number below 1",
        f"{PATH}.replay.ignore[0] has the value '$..id': expected a JSON path, as in '$.id' or '$.outputs[*].data[0]'",
        f"{PATH}.performance: {NO_LIMIT}",
        f"{PATH}.performance.concurrency has the value 65: {TOO_MANY}",
    ]


def test_a_node_pool_has_the_same_gates(mistakes: Check) -> None:
    pool = {
        **wanted(BOTH, target="node-pool", computeTargetName="karpenter", gpuCores=1),
        "image": {"repository": "localhost:5000/x"},
    }
    assert [line for line in mistakes(pool) if PATH in line] == []


@pytest.mark.parametrize(
    ("made", "changes", "refused"),
    [
        (None, {}, True),
        (None, {"environment": {"variables": {"COLLECT_URL": "collected"}}}, False),
        ("scripts/score.golden.json", {}, False),
        (None, {"models": [{"path": "models", "name": "digits"}]}, False),
    ],
)
def test_something_must_be_there_to_send(
    mistakes: Check, project: Path, made: str | None, changes: dict[str, Any], refused: bool
) -> None:
    if made:
        (project / made).write_text('{"request": {}, "response": 1}')
    without = {"models": [{"path": "scripts", "name": "m", "framework": "Custom"}]}
    found = mistakes({**wanted(BOTH), **without, **changes})
    nothing = (
        "has nothing to send: no model has a golden inference, the script has no golden request, and "
        "environment.variables.COLLECT_URL is not set; write a golden.json, or <script>.golden.json"
    )
    assert found == ([f"{PATH}.{gate}: {nothing}" for gate in BOTH] if refused else [])


STEP: dict[str, Any] = {"setWeight": 10, "pause": "5m"}
SHARES: dict[str, Any] = {"steps": [{"mirror": 20, "pause": "60s"}, STEP, {"setWeight": 50, "pause": 60}]}


@pytest.mark.parametrize(
    "rollout",
    [SHARES, {**SHARES, "analysis": {"maxErrorRate": 0.01}}, {"canaryTrafficPercent": 0}, {"canaryTrafficPercent": 10}],
)
def test_steps_that_go_up_are_no_mistake(mistakes: Check, rollout: dict[str, Any]) -> None:
    assert mistakes(wanted(rollout)) == []


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        ({"steps": [{"pause": "5m"}]}, ["steps[0]: expected one of mirror and setWeight"]),
        ({"steps": [{**STEP, "mirror": 5}]}, ["steps[0]: expected one of mirror and setWeight"]),
        ({"steps": [{"setWeight": 10}]}, ["steps[0].pause: is required"]),
        (
            {"steps": [{**STEP, "pause": "soon"}]},
            ["steps[0].pause has the value 'soon': expected a duration"],
        ),
        ({"steps": [{**STEP, "pause": "900h"}]}, ["steps[0].pause has the value '900h': expected at most 604800"]),
        (
            {"steps": [STEP, STEP]},
            ["steps[1].setWeight has the value 10: expected more than 10, the step's before"],
        ),
        (
            {"steps": [STEP, {"mirror": 5, "pause": "5m"}]},
            ["steps[1].mirror has the value 5: comes after setWeight 10, which would fall to 0; put mirror first"],
        ),
        ({"analysis": {"p95Ms": 5}}, ["analysis: judges steps, and there are none; add steps"]),
        (
            {**SHARES, "analysis": {"minRequests": 5}},
            ["analysis: expected at least one of maxErrorRate, p95Ms and maxSlowdown"],
        ),
        ({**SHARES, "canaryTrafficPercent": 10}, ["canaryTrafficPercent has the value 10: has no place beside steps"]),
        ({**SHARES, "strategy": "recreate"}, ["steps: needs the old version, which strategy 'recreate' stops first"]),
        (
            {"canaryTrafficPercent": 10, "strategy": "recreate"},
            ["canaryTrafficPercent: needs the old version, which strategy 'recreate' stops first"],
        ),
    ],
)
def test_steps_that_cannot_be_gone_are_told(mistakes: Check, rollout: dict[str, Any], told: list[str]) -> None:
    found = mistakes(wanted(rollout))
    assert len(found) == len(told)
    assert all(line.startswith(f"{PATH}.{words}") for line, words in zip(found, told, strict=True)), found
