"""Who is too slow: the slowdown by its evidence, and limits at full load by rounds at full load alone."""

from __future__ import annotations

import itertools
import math
import random
import re
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.proving.client import Client
from serving.proving.load import Block, load, percentile
from serving.proving.performance import Rounds, judged, performance
from serving.proving.plan import Performance, Request, Servers
from serving.proving.production import Production, p95
from serving.proving.slowdown import DOUBT, Slowdown, estimate, slowdown
from serving.proving.verdict import Verdict
from tests.serving.proving.trial import PROJECT, Answering, good, server

PAGE = PROJECT / "docs" / "new-version.md"
RATIOS = st.lists(st.floats(min_value=0.1, max_value=10), min_size=1, max_size=70)


def blocks(*milliseconds: float, concurrency: int = 1) -> list[Block]:
    return [Block(concurrency, seconds=1.0, answers=[value / 1000] * 100, busy=value / 10) for value in milliseconds]


def found(ratios: list[float]) -> Slowdown:
    answer = slowdown([10.0] * len(ratios), [10.0 * ratio for ratio in ratios])
    assert answer is not None
    return answer


# -- the slowdown


@given(RATIOS)
def test_the_ratio_lies_in_its_interval_and_that_in_what_the_rounds_show(ratios: list[float]) -> None:
    shown = found(ratios)
    bounds = (min(ratios), shown.low, shown.ratio, shown.high, max(ratios))
    assert all(less <= more * (1 + 1e-9) for less, more in itertools.pairwise(bounds))


@given(RATIOS, st.floats(min_value=0.2, max_value=5))
def test_a_version_that_is_slower_by_a_factor_shows_that_factor_more(ratios: list[float], factor: float) -> None:
    before, after = found(ratios), found([ratio * factor for ratio in ratios])
    assert after.ratio == pytest.approx(before.ratio * factor)
    assert after.low == pytest.approx(before.low * factor)


@given(RATIOS)
def test_who_is_the_old_one_changes_the_sides_alone(ratios: list[float]) -> None:
    there, back = estimate(ratios, DOUBT), estimate([1 / ratio for ratio in ratios], DOUBT)
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.low == pytest.approx(1 / there.high)
    assert back.high == pytest.approx(1 / there.low)


@pytest.mark.parametrize(("rounds", "outside"), [(4, 0), (5, 0), (6, 2), (10, 10), (20, 60), (50, 466)])
def test_the_interval_is_that_of_the_table_of_signed_ranks(rounds: int, outside: int) -> None:
    ratios = [math.exp(0.01 * number) for number in range(rounds)]
    means = sorted((one + other) / 2 for i, one in enumerate(range(rounds)) for other in range(i, rounds))
    assert estimate(ratios, 0.05).low == pytest.approx(math.exp(0.01 * means[outside]))


def test_waits_for_other_work_do_not_hide_a_slowdown() -> None:
    waits = [random.Random(3).expovariate(1 / 30) if number % 4 else 0.0 for number in range(80)]
    answer = slowdown([10 + wait for wait in waits], [15 + wait for wait in waits])
    assert answer is not None
    assert answer.ratio == pytest.approx(1.5)


def test_a_few_disturbed_rounds_say_little() -> None:
    assert not found([1.0] * 15 + [50.0] * 5).exceeds(1.05)
    assert found([1.5] * 15 + [0.02] * 5).ratio == pytest.approx(1.5)
    assert slowdown([None, 10.0], [10.0, None]) is None


class Machine:
    """A machine with other work, from time to time.

    That makes everything slower, by up to four times, or with `wait` each third answer waits for a core so long.
    """

    def __init__(self, seed: int, *, every: float, lasting: float, wait: float = 0.0) -> None:
        self._chance = random.Random(seed)
        self._every, self._lasting, self._wait = every, lasting, wait
        self._next, self._until, self._factor = self._chance.expovariate(1 / every), 0.0, 1.0

    def took(self, seconds: float, now: float) -> float:
        """How long takes what takes some seconds on an idle machine; `now` does not go back far."""
        while now >= self._next:
            self._factor = self._chance.uniform(1.3, 4)
            self._until = self._next + self._chance.expovariate(1 / self._lasting)
            self._next = self._until + self._chance.expovariate(1 / self._every)
        if now >= self._until:
            return seconds
        if not self._wait:
            return seconds * self._factor
        return seconds + (self._chance.expovariate(1 / self._wait) if self._chance.random() < 1 / 3 else 0.0)

    def p95(self, now: float, base: float, count: int, concurrency: int) -> tuple[float, float]:
        """Answer `count` requests from `now` on, and give their p95 and the time of the last one."""
        free, answers = [now] * concurrency, []
        for _ in range(count):
            thread = min(range(concurrency), key=free.__getitem__)
            answers.append(self.took(base * self._chance.lognormvariate(0, 0.3), free[thread]))
            free[thread] += answers[-1]
        return percentile(answers, 0.95) or 0.0, max(free)


def refusals(true: float, *, base: float, **other_work: float) -> int:
    """How many of twenty loads of ten seconds refuse a version whose true slowdown is this one, at a limit of 1.2."""
    refused = 0
    for seed in range(20):
        machine, now = Machine(seed, **other_work), 0.0
        shown: list[list[float]] = [[], []]
        while now < 20:
            order = (0, 1) if len(shown[0]) % 2 else (1, 0)
            measured = {}
            for side in order:
                measured[side], now = machine.p95(now, base * (true if side else 1.0), max(10, int(0.2 / base)), 4)
            for side in (0, 1):
                shown[side].append(measured[side])
        answer = slowdown(*shown)
        assert answer is not None
        refused += answer.exceeds(1.2)
    return refused


MACHINES: list[dict[str, float]] = [
    {"base": 0.005, "every": 1.0, "lasting": 0.5},
    {"base": 0.05, "every": 0.5, "lasting": 0.5},
    {"base": 0.01, "every": 0.5, "lasting": 0.5, "wait": 0.02},
]
"""Those of the page, in the order of its columns."""


def told() -> list[tuple[float, list[int]]]:
    """The table of the page: a true slowdown, and how many of twenty loads refuse it on each machine."""
    rows = re.findall(r"^\| (1\.\d) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.M)
    return [(float(true), [int(count) for count in counts]) for true, *counts in rows]


@pytest.mark.parametrize(("true", "refused"), told())
def test_on_a_busy_machine_versions_are_refused_as_the_page_says(true: float, refused: list[int]) -> None:
    assert [refusals(true, **machine) for machine in MACHINES] == refused


def test_on_a_busy_machine_an_equal_version_passes_and_one_that_is_half_slower_does_not() -> None:
    said = dict(told())
    assert said[1.0] == [0, 0, 0]
    assert (said[1.5][0], said[1.5][2]) == (20, 20)


def sleeping(seconds: float, load: Load) -> Answering:
    """Answer after a while that varies, and that other work on the machine makes longer."""
    chance = random.Random(7)

    def answer(value: Any, number: int) -> tuple[int, Any]:
        time.sleep(load.took(seconds * chance.lognormvariate(0, 0.2)))
        return good(value, number)

    return answer


class Load:
    """Other work on the machine of real servers."""

    def __init__(self) -> None:
        self._machine, self._started, self._lock = (
            Machine(3, every=0.5, lasting=0.2),
            time.monotonic(),
            threading.Lock(),
        )

    def took(self, seconds: float) -> float:
        with self._lock:
            return self._machine.took(seconds, time.monotonic() - self._started)


def loaded(before: Answering, after: Answering, **limits: Any) -> Verdict:
    verdict = Verdict(requests=1, source="golden")
    with server(before) as old, server(after) as new:
        performance(
            Performance(concurrency=4, **{"seconds": 2, **limits}),
            [Request(id="a", to="scorer", path="/score", body=b'{"x": 1}')],
            (Client(Servers(scorer=old), 10), Client(Servers(scorer=new), 10)),
            verdict,
            None,
            seconds=60,
            say=print,
        )
    return verdict


@pytest.mark.parametrize(("times", "refused"), [(1.0, []), (1.5, ["performance"])])
def test_real_servers_on_a_busy_machine_are_judged_rightly(times: float, refused: list[str]) -> None:
    busy = Load()
    verdict = loaded(sleeping(0.01, busy), sleeping(0.01 * times, busy), max_slowdown=1.2, seconds=10)
    figure = verdict.figures[-1]
    assert verdict.refused_by == refused, figure
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < times * 1.1
    assert figure.high > times * 0.9


def test_a_slowdown_that_few_answers_cannot_show_is_noted() -> None:
    limits = Performance(concurrency=1, seconds=1, max_slowdown=1.2)
    figures, notes = judged(limits, Rounds(blocks(*[10] * 6), blocks(10, 14, 11, 16, 12, 15)))
    assert figures[-1].passed
    assert "600 answers of the new version do not show it; raise rollout.performance.seconds" in notes[0]


# -- the other limits


def test_one_disturbed_round_refuses_nobody() -> None:
    old, new = blocks(10, 10, 10, 10, 10), blocks(10, 10, 500, 10, 10)
    limits = Performance(concurrency=1, seconds=1, p95_ms=20, max_slowdown=1.2)
    figures, _ = judged(limits, Rounds(old, new))
    assert all(figure.passed for figure in figures)
    assert found([3, 3, 3]).ratio == pytest.approx(3)


@given(st.integers(0, 20), st.floats(min_value=1, max_value=1000))
def test_limits_at_full_load_are_judged_by_rounds_at_full_load(full: int, milliseconds: float) -> None:
    limits = Performance(concurrency=8, seconds=20, min_throughput=100, p95_ms=100)
    new = [*blocks(*[milliseconds] * full, concurrency=8), *blocks(*[1000.0] * (20 - full), concurrency=4)]
    figures, notes = judged(limits, Rounds([], new))
    judged_by = {figure.name: figure for figure in figures}
    throughput = judged_by["throughput"].new
    assert throughput is not None
    if full < 4:
        assert (judged_by["throughput"].limit, judged_by["p95"].limit) == (None, None)
        assert [note.split()[0] for note in notes] == ["p95Ms", "minThroughput"]
        assert all(figure.passed for figure in figures)
    else:
        assert notes == []
        assert throughput == pytest.approx(8000 / milliseconds)
        assert judged_by["throughput"].passed == (throughput >= 100)
        assert judged_by["p95"].passed == (milliseconds <= 100)


class Suffering(Production):
    """A front door whose clients wait longer from the second look on."""

    def __init__(self) -> None:
        self.looks = 0

    def suffers(self) -> bool:
        self.looks += 1
        return self.looks == 1


def test_a_load_that_goes_down_judges_no_throughput() -> None:
    def steady(value: Any, number: int) -> tuple[int, Any]:
        time.sleep(0.02)
        return good(value, number)

    verdict = Verdict(requests=1, source="golden")
    with server(steady) as address:
        client = Client(Servers(scorer=address), 10)
        request = Request(id="a", to="scorer", path="/score", body=b'{"x": 1}')
        wanted = Performance(concurrency=4, seconds=4, min_throughput=100_000)
        performance(wanted, [request], (None, client), verdict, Suffering(), seconds=60, say=print)
    assert verdict.refused_by == []
    assert [note.split(":")[0] for note in verdict.notes] == [
        "the load went down to 2 at once",
        "minThroughput is not judged",
    ]


def test_a_load_sends_so_many_in_turns_and_tells_its_throughput() -> None:
    seen: list[int] = []

    def counting(value: Any, number: int) -> tuple[int, Any]:
        seen.append(value["x"])
        time.sleep(0.05)
        return good(value, number)

    requests = [Request(id="a", to="scorer", path="/score", body=b'{"x": %d}' % x) for x in range(4)]
    with server(counting) as address:
        block = load(Client(Servers(scorer=address), 10), requests, 2, count=6, seconds=10, first=3)
    assert sorted(seen) == [0, 0, 1, 2, 3, 3]
    assert (len(block.answers), block.failed) == (6, 0)
    assert 25 < block.throughput < 41


# -- production


def test_production_p95_lies_within_its_bucket() -> None:
    assert p95({1.0: 0, 5.0: 50, 10.0: 100, float("inf"): 100}) == pytest.approx(9.5)
    assert p95({1.0: 3, float("inf"): 3}) is None


def test_looks_with_few_requests_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def buckets(fast: int, slow: int) -> dict[float, float]:
        return {1.0: fast, 100.0: fast + slow, math.inf: fast + slow}

    given = iter([buckets(100, 0), buckets(100, 12), buckets(100, 24), buckets(101, 24), buckets(121, 24), {}])
    monkeypatch.setattr(Production, "_buckets", lambda _: next(given))
    production = Production("http://nowhere")
    assert [production.suffers() for _ in range(5)] == [False, True, False, False, False]
