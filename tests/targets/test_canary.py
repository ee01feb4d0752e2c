"""The steps of a rollout, with figures that the tests choose and a clock of their own."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.waiting import Cancelled
from gateway.admin import AdminError
from gateway.generation_figures import Figures, Snapshot
from settings.rollout_steps import Analysis, Step
from settings.service_groups import RolloutPlan
from targets import canary, step_watch
from targets.canary import Canary, RefusedError
from targets.rollout_record import Outcome, StepRecord
from targets.step_watch import slowdown


def figures(requests: int, errors: int = 0, milliseconds: float = 10.0) -> Figures:
    return Figures(requests, errors, 0, Counter({(milliseconds, 1.0): requests}))


@dataclass
class Doors:
    """Envoys whose figures grow with each look."""

    each_look: Mapping[str, Snapshot]
    shares: list[tuple[int, int]] = field(default_factory=list)
    looks: int = 0
    fail_at: tuple[int, ...] = ()
    restart_at: int = 0

    def share(self, *, weight: int = 0, mirror: int = 0) -> None:
        self.shares.append((weight, mirror))

    def figures(self) -> Mapping[str, Snapshot]:
        self.looks += 1
        if self.looks in self.fail_at:
            raise AdminError("envoy: no answer")
        times = self.looks - self.restart_at if self.restart_at and self.looks > self.restart_at else self.looks
        return {name: sum([each] * times, Snapshot()) for name, each in self.each_look.items()}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is as long as it is, in a time that a test need not wait for."""
    now = 0.0

    def wait_until(condition: Callable[[], bool], *, seconds: float, every: float) -> bool:
        nonlocal now
        ends = now + seconds
        while not (answer := condition()) and now < ends:
            now += every
        return answer

    monkeypatch.setattr(canary, "wait_until", wait_until)
    monkeypatch.setattr(step_watch.time, "monotonic", lambda: now)


def go(
    doors: Doors, *steps: dict[str, Any], records: list[StepRecord] | None = None, **analysis: Any
) -> list[StepRecord]:
    records = [] if records is None else records
    rollout = RolloutPlan(
        drain_seconds=1,
        steps=[Step.model_validate({"pause": "60s", **step}) for step in steps],
        analysis=Analysis.model_validate(analysis) if analysis else None,
    )
    try:
        Canary(rollout=rollout, new=2, old=1, shares=doors, progress=lambda line: None, record=records.append).judge()
    except RefusedError as error:
        error.records = records  # type: ignore[attr-defined]
        raise
    return records


def serving(old: Figures, new: Figures) -> dict[str, Snapshot]:
    return {"envoy": Snapshot(serving=old, candidate=new)}


def test_each_step_gets_its_share_and_its_figures() -> None:
    doors = Doors({"a": Snapshot(figures(9), figures(1), figures(2)), "b": Snapshot(figures(9), figures(1))})
    found = go(doors, {"mirror": 20}, {"setWeight": 10}, {"setWeight": 50}, maxErrorRate=0.01, minRequests=10)
    assert doors.shares == [(0, 20), (10, 0), (50, 0)]
    assert [step.outcome for step in found] == [Outcome.PASSED] * 3
    looks = found[0].new.requests // 2
    assert found[0].old.requests == 18 * looks  # both Envoys', and copies are the new one's


def test_errors_above_the_limit_refuse_with_the_figures_in_a_table() -> None:
    doors = Doors(serving(figures(90), figures(10, errors=1)))
    with pytest.raises(RefusedError) as refused:
        go(doors, {"setWeight": 10}, maxErrorRate=0.07, minRequests=100)
    first, *table = str(refused.value).splitlines()
    assert first == "step 1 of 1 (weight 10 %) refused generation 2; generation 1 has all of the traffic again"
    (row,) = [line.split() for line in table if "failed" in line]
    assert row[-4:] == ["0.0%", "10.0%", "7.0%", "NO"]


def test_a_clear_failure_ends_the_step_early_and_a_close_one_at_its_end() -> None:
    for errors, early in ((5, True), (1, False)):
        doors = Doors(serving(figures(90), figures(10, errors=errors)))
        with pytest.raises(RefusedError):
            go(doors, {"setWeight": 10}, maxErrorRate=0.09, minRequests=20)
        assert (doors.looks < 20) is early


def test_too_few_requests_are_an_outcome_of_their_own() -> None:
    doors = Doors(serving(figures(9), Figures()))
    with pytest.raises(RefusedError, match=r"gave generation 2 0 requests in 60 s.* raise its share") as refused:
        go(doors, {"setWeight": 10}, p95Ms=50)
    (record,) = refused.value.records  # type: ignore[attr-defined]
    assert record.outcome is Outcome.TOO_FEW_REQUESTS


def test_too_few_requests_are_the_figure_that_is_not_passed() -> None:
    doors = Doors(serving(figures(9), figures(1)))
    with pytest.raises(RefusedError) as refused:
        go(doors, {"setWeight": 10}, maxErrorRate=0.01, minRequests=200)
    (record,) = refused.value.records  # type: ignore[attr-defined]
    requests, failed, p95, _ = (line.split() for line in str(refused.value).splitlines()[3:])
    assert requests[-4:] == [str(record.old.requests), str(record.new.requests), "200", "NO"]
    assert failed[-2:] == ["1.0%", "yes"]
    assert p95[-1] == "-"  # no limit judges it


def test_a_figure_that_nobody_measured_is_not_judged() -> None:
    doors = Doors(serving(figures(9), Figures()))
    with pytest.raises(RefusedError) as refused:
        go(doors, {"setWeight": 10}, p95Ms=50)
    (row,) = [line.split() for line in str(refused.value).splitlines() if " p95 " in line]
    assert row[-3:] == ["-", "50.0", "ms"]


def test_without_analysis_no_figure_stops_a_version() -> None:
    doors = Doors(serving(figures(9), figures(5, errors=5, milliseconds=900)))
    assert go(doors, {"setWeight": 10})[0].outcome is Outcome.PASSED


def test_an_envoy_that_starts_anew_loses_no_figure_of_before() -> None:
    calm = Doors(serving(figures(10), figures(10)))
    restarted = Doors(serving(figures(10), figures(10)), restart_at=10, fail_at=(9, 10))
    steady, found = (go(doors, {"setWeight": 50}, maxErrorRate=0.1)[0] for doors in (calm, restarted))
    assert found.notes == ("envoy started anew meanwhile: its last seconds before are not counted",)
    assert steady.new.requests - found.new.requests <= 30


def test_latencies_of_the_warm_up_do_not_count_and_its_errors_do() -> None:
    class Cold(Doors):
        def figures(self) -> Mapping[str, Snapshot]:
            self.looks += 1
            cold, warm = min(self.looks, 5), max(0, self.looks - 5)
            slow, fast = figures(10 * cold, cold, 900), figures(10 * warm, 0, 10)
            return serving(figures(10 * self.looks), slow + fast)

    found = go(Cold({}), {"setWeight": 50}, p95Ms=50, maxSlowdown=1.5)[0]
    assert found.new.errors == 4
    with pytest.raises(RefusedError, match="requests that failed"):
        go(Cold({}), {"setWeight": 50}, maxErrorRate=0.001)


def test_latencies_of_the_warm_up_end_no_step_before_its_time() -> None:
    class Cold(Doors):
        def figures(self) -> Mapping[str, Snapshot]:
            self.looks += 1
            cold, warm = min(self.looks, 6), max(0, self.looks - 6)
            return serving(figures(200 * self.looks), figures(200 * cold, 0, 900) + figures(200 * warm, 0, 10))

    doors = Cold({})
    assert go(doors, {"setWeight": 50}, p95Ms=50, maxSlowdown=1.5)[0].outcome is Outcome.PASSED
    assert doors.looks > 20


def test_a_slow_version_ends_its_step_once_it_is_warm() -> None:
    doors = Doors(serving(figures(200), figures(200, milliseconds=900)))
    with pytest.raises(RefusedError, match="p95"):
        go(doors, {"setWeight": 50}, p95Ms=50)
    assert doors.looks < 20


def test_other_work_that_falls_on_the_new_version_for_a_while_does_not_refuse_it() -> None:
    class Disturbed(Doors):
        def figures(self) -> Mapping[str, Snapshot]:
            self.looks += 1
            slow = min(max(0, self.looks - 12), 4)
            new = figures(20 * (self.looks - slow)) + figures(20 * slow, milliseconds=300)
            return serving(figures(20 * self.looks), new)

    step = go(Disturbed({}), {"setWeight": 50}, maxSlowdown=1.5)[0]
    (slowed,) = [figure for figure in step.figures if figure.name == "slowdown of p95"]
    assert slowed.low is not None
    assert slowed.low > 10


def test_a_step_that_is_cancelled_is_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled(condition: Callable[[], bool], **_: float) -> bool:
        condition()
        raise Cancelled

    monkeypatch.setattr(canary, "wait_until", cancelled)
    records: list[StepRecord] = []
    doors = Doors(serving(figures(200), figures(100)))
    with pytest.raises(Cancelled):
        go(doors, {"setWeight": 50}, records=records, minRequests=1000, p95Ms=50)
    (record,) = records
    assert (record.outcome, record.weight, record.new.requests) == (Outcome.CANCELLED, 50, 100)
    assert all(figure.passed for figure in record.figures)  # the missing requests had time to come


@pytest.mark.parametrize(
    ("step", "milliseconds", "passes"),
    [("mirror", 9, True), ("mirror", 14, False), ("setWeight", 9, True), ("setWeight", 14, False)],
)
def test_a_version_may_be_slower_by_what_a_busy_machine_delays(step: str, milliseconds: float, passes: bool) -> None:
    new = figures(100, milliseconds=milliseconds)
    doors = Doors({"envoy": Snapshot(figures(100, milliseconds=1), new, new)})
    if passes:
        go(doors, {step: 50}, maxSlowdown=1.2)
    else:
        with pytest.raises(RefusedError, match="slowdown of p95"):
            go(doors, {step: 50}, maxSlowdown=1.2)


@pytest.mark.parametrize("first", [2, 6])
def test_front_doors_that_tell_nothing_let_no_version_pass(first: int) -> None:
    doors = Doors(serving(figures(200), figures(100)), fail_at=tuple(range(first, 200)))
    records: list[StepRecord] = []
    with pytest.raises(RefusedError, match=r"does not tell what generation 2 does \(envoy: no answer\)"):
        go(doors, {"setWeight": 50}, records=records, p95Ms=50)
    assert records[-1].outcome is Outcome.NO_FIGURES


def test_front_doors_may_be_silent_for_a_while() -> None:
    doors = Doors(serving(figures(200), figures(100)), fail_at=(5, 6, 31, 32, 33))
    assert go(doors, {"setWeight": 50}, p95Ms=50)[0].outcome is Outcome.PASSED


def test_the_last_requests_of_the_old_version_are_not_compared_with() -> None:
    step = go(Doors(serving(figures(2), figures(100, milliseconds=90))), {"setWeight": 100}, maxSlowdown=1.2)[0]
    assert "slowdown of p95" not in [figure.name for figure in step.figures]


def drawn(seed: int, count: int, factor: float) -> Figures:
    """Latencies of a noisy machine, in the buckets that Envoy has."""
    source = random.Random(seed)
    times: Counter[tuple[float, float]] = Counter()
    for _ in range(count):
        took = factor * source.lognormvariate(2.0, 0.5)
        low = 1.1 ** int(math.log(took, 1.1))
        times[(low, low * 0.1)] += 1
    return Figures(count, 0, 0, times)


@given(st.integers(0, 10**6), st.integers(100, 3000), st.integers(100, 3000))
def test_the_same_version_twice_is_hardly_ever_slower_by_half(seed: int, old: int, new: int) -> None:
    found = slowdown(drawn(seed, old, 1.0), drawn(seed + 1, new, 1.0))
    assert found is not None
    assert found[1] < 1.5


@given(st.integers(0, 10**6), st.integers(1000, 3000))
def test_a_version_twice_as_slow_shows(seed: int, count: int) -> None:
    found = slowdown(drawn(seed, count, 1.0), drawn(seed + 1, count, 2.0))
    assert found is not None
    assert found[1] > 1.2


def test_a_version_that_was_faster_than_envoy_counts_is_compared_too() -> None:
    fast, slow = Figures(100, 0, 0, Counter({(0.0, 0.0): 100})), figures(100, milliseconds=100)
    found = slowdown(fast, slow)
    assert found is not None
    assert found[1] == pytest.approx(100, rel=0.01)
    with pytest.raises(RefusedError, match="slowdown of p95"):
        go(Doors(serving(fast, slow)), {"setWeight": 50}, maxSlowdown=2)


def test_a_slowdown_of_nothing_is_unknown() -> None:
    assert slowdown(figures(10), Figures()) is None
    assert slowdown(Figures(), figures(10)) is None


def test_a_version_that_is_cold_for_long_does_not_end_its_step(clock: None) -> None:
    class Cold(Doors):
        def figures(self) -> Mapping[str, Snapshot]:
            self.looks += 1
            cold, warm = min(self.looks, 9), max(0, self.looks - 9)
            return serving(figures(10 * self.looks), figures(2 * cold, milliseconds=900) + figures(60 * warm))

    assert go(Cold({}), {"setWeight": 50}, maxSlowdown=1.5, minRequests=10)[0].outcome is Outcome.PASSED
