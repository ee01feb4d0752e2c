"""A plan and a verdict arrive as they were sent, and what is no plan is told on one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.proving.plan import Collected, Performance, Plan, Replay, Request, Servers
from serving.proving.verdict import Difference, Figure, Verdict
from serving.proving.wire import FormError, read, write

NUMBERS = st.floats(allow_nan=False)
TEXTS = st.text(max_size=9)
PLANS = st.builds(
    Plan,
    old=st.none() | st.builds(Servers),
    new=st.builds(Servers, scorer=st.none() | TEXTS),
    requests=st.lists(st.builds(Request, body=st.binary(), recorded=st.none() | st.binary())).map(tuple),
    collected=st.none() | st.builds(Collected),
    replay=st.none() | st.builds(Replay, max_mismatch=NUMBERS, tolerance=NUMBERS, ignore=st.just(("$.id",))),
    performance=st.none() | st.builds(Performance, seconds=NUMBERS, p95_ms=st.none() | NUMBERS),
    timeout_seconds=NUMBERS,
)
FIGURES = st.builds(Figure, old=st.none() | NUMBERS, new=st.none() | NUMBERS, limit=st.none() | NUMBERS)
VERDICTS = st.builds(
    Verdict, figures=st.lists(FIGURES), differences=st.lists(st.builds(Difference)), notes=st.lists(TEXTS)
)


@given(PLANS)
def test_a_plan_arrives_as_it_was_sent(plan: Plan) -> None:
    assert read(Plan, write(plan)) == plan


@given(VERDICTS)
def test_a_verdict_arrives_as_it_was_sent_on_one_line(verdict: Verdict) -> None:
    assert len(write(verdict).splitlines()) == 1
    assert read(Verdict, write(verdict)) == verdict


PLAN: dict[str, Any] = {
    "old": None,
    "new": {},
    "requests": [],
    "collected": None,
    "replay": None,
    "performance": None,
    "frontDoorMetrics": None,
    "timeoutSeconds": 1,
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"new": []}, "plan.new is list; expected an object"),
        ({"new": {"port": 1}}, "plan.new has the unknown key port; expected scorer, triton"),
        ({"requests": {}}, "plan.requests is dict; expected a list"),
        ({"requests": [{"id": "a"}]}, r"plan.requests\[0\] lacks to, path, body"),
        ({"requests": [{"id": "a", "to": "me", "path": "", "body": ""}]}, r"\[0\].to is 'me'; expected one of scorer"),
        ({"requests": [{"id": "a", "to": "scorer", "path": "", "body": "?"}]}, r"\[0\].body is no Base64"),
        ({"timeoutSeconds": True}, "plan.timeoutSeconds is bool; expected float"),
        ({"collected": {"url": 1, "service": "a"}}, "plan.collected.url is int; expected str"),
        ({"replay": {"requests": 1, "maxMismatch": 0, "tolerance": 0, "ignore": ["id"]}}, "ignore: 'id' is no path"),
    ],
)
def test_a_value_of_another_form_is_named(changed: dict[str, Any], words: str) -> None:
    assert read(Plan, json.dumps(PLAN)).timeout_seconds == 1
    with pytest.raises(ValueError, match=words) as refused:
        read(Plan, json.dumps({**PLAN, **changed}))
    assert len(str(refused.value).splitlines()) == 1


def test_a_verdict_that_lacks_its_figures_source_is_none() -> None:
    with pytest.raises(FormError, match="verdict lacks requests, source"):
        read(Verdict, "{}")
