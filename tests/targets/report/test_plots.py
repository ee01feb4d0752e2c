"""The plots' figures are the record's, and both generations can be told apart without colours."""

from __future__ import annotations

import re
from datetime import timedelta
from xml.etree import ElementTree

import matplotlib
import pytest

from targets.report.plots import latencies, time_line
from targets.rollout_record import Outcome
from tests.targets.report.records import BEGAN, REAL, measured, record, step


def texts(element: str) -> list[str]:
    found = ElementTree.fromstring(element.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1))
    return [text.text or "" for text in found.iter("text")]


def points(element: str, color: str) -> list[tuple[float, float]]:
    """Give the points of the line of a colour."""
    lines = [path for path in re.findall(r"<path [^>]*>", element) if f"stroke: var(--{color})" in path]
    line = max(lines, key=len)
    found = re.search(r'd="([^"]*)"', line)
    assert found is not None
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", found[1])]


def dashed(element: str, color: str) -> bool:
    lines = [path for path in re.findall(r"<path [^>]*>", element) if f"stroke: var(--{color})" in path]
    return "stroke-dasharray" in max(lines, key=len)


def test_each_generation_is_named_at_its_line_and_told_apart_without_colours() -> None:
    for drawing in (time_line(REAL), *(latencies(each) for each in REAL.steps)):
        assert {"old", "new"} <= set(texts(drawing))
        assert dashed(drawing, "old")
        assert not dashed(drawing, "new")


@pytest.mark.parametrize(("outcome", "share"), [(Outcome.PASSED, 100), (Outcome.REFUSED, 0)])
def test_the_time_line_ends_with_who_has_the_traffic(outcome: Outcome, share: int) -> None:
    new = points(time_line(record(outcome=outcome, steps=(step(outcome=outcome),))), "new")
    bottom = max(y for _, y in new)
    shares = [round((bottom - y) / (bottom - top(bottom)) * 100) for _, y in new]
    assert shares[0] == 0
    assert 20 in shares
    assert shares[-1] == share


def test_the_time_line_ends_before_a_step_that_the_record_does_not_have() -> None:
    one = step(started=BEGAN, ended=BEGAN + timedelta(seconds=30))
    passed, cancelled = (
        points(time_line(record(outcome=outcome, steps=(one,), ended=BEGAN + timedelta(seconds=60))), "new")
        for outcome in (Outcome.PASSED, Outcome.CANCELLED)
    )
    assert cancelled[-1][0] - cancelled[0][0] == pytest.approx((passed[-1][0] - passed[0][0]) / 2, abs=0.5)


def top(bottom: float) -> float:
    """Give the height of 100 % where `bottom` is that of 0 %: the axis goes up to 112 %."""
    height = 2.6 * 72 * 0.78
    return bottom - height / 1.12


def test_the_line_of_a_step_shows_its_percentiles() -> None:
    one = step(old=measured(times=((10.0, 11.0, 50), (20.0, 21.0, 50))), new=measured(times=((100.0, 110.0, 100),)))
    drawing = latencies(one)
    old, new = points(drawing, "old"), points(drawing, "new")
    decade = (new[0][0] - old[0][0]) / 1  # from 10 ms to 100 ms
    assert old[-1][0] - old[0][0] == pytest.approx(decade * 0.3222, abs=0.5)  # log10(21 / 10)
    half = [x for x, y in old if y == pytest.approx((old[0][1] + old[-1][1]) / 2, abs=0.5)]
    assert half[0] - old[0][0] == pytest.approx(decade * 0.0414, abs=0.5)  # log10(11 / 10)


def test_a_step_without_answers_has_no_plot() -> None:
    assert latencies(step(old=measured(0, times=()), new=measured(0, times=()))) == ""
    assert texts(latencies(step(new=measured(0, times=())))).count("new") == 0


def test_drawings_share_no_id() -> None:
    drawings = [time_line(REAL), *map(latencies, REAL.steps)]
    found = [each for drawing in drawings for each in re.findall(r'\sid="([^"]*)"', drawing)]
    assert len(found) == len(set(found))


def test_settings_of_other_plots_neither_change_nor_count() -> None:
    expected = time_line(REAL)
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        assert time_line(REAL) == expected
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.fonttype"]) == (30, "path")
