"""The plots of a rollout's report, as SVG that stands inside a page and takes the page's colours.

The old generation is a dashed line and the new one is a full line: a reader who sees no colours tells them apart. Each
line has its name beside it.
"""

import io
import logging
import re
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from targets.rollout_record import Measured, Outcome, RolloutRecord, StepRecord

__all__ = ["latencies", "time_line"]

# What stands for the page's colours until the drawing is text.
_OLD, _NEW, _TEXT, _GRID = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_OLD: "var(--old)", _NEW: "var(--new)", _TEXT: "var(--text)", _GRID: "var(--grid)"}
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "font.size": 9.5,
    "text.color": _TEXT,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _TEXT,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _TEXT,
    "ytick.labelcolor": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "butt",
}
_WIDTH, _HEIGHT = 4.72, 2.6  # inches; 340 points are a phone's width
_STROKES = {_OLD: (0, (4, 1.6)), _NEW: "-"}
_LEAST_WIDTH = 0.09  # of the time line, for a step's name to fit
_DRAWING = threading.Lock()  # matplotlib's settings belong to the process
_FAR = 10  # times the slowest answer: a limit beyond it is not shown
_WIDE = 700  # times the quickest answer: more numbers would not fit below

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home that cannot be written to is nobody's concern here


def time_line(record: RolloutRecord) -> str:
    """Draw which share of the requests each generation answered, from the rollout's start to its end."""
    unit, name = _time_unit(record.ended - record.started)

    def at(time: timedelta) -> float:
        return time / unit

    end = max(at(record.ended - record.started), 1e-3)
    times, shares = [0.0], [0.0]
    for step in record.steps:
        times.append(at(step.started - record.started))
        shares.append(step.weight)
    last = record.steps[-1]
    times.append(at(last.ended - record.started))
    if record.outcome is Outcome.PASSED or last.outcome is not Outcome.PASSED:
        shares.append(100.0 if record.outcome is Outcome.PASSED else 0.0)
        times.append(end)
    # Otherwise the rollout ended within a step, of which the record has nothing: the lines end before it.
    shares.append(shares[-1])

    def draw(panel: Axes) -> None:
        olds = [100 - share for share in shares]
        panel.step(times, olds, where="post", color=_OLD, linestyle=_STROKES[_OLD])
        panel.step(times, shares, where="post", color=_NEW)
        panel.fill_between(times, shares, step="post", color=_NEW, alpha=0.15, linewidth=0)
        for step in record.steps:
            _name_step(panel, step, at(step.started - record.started), at(step.ended - record.started), end)
        panel.set(xlim=(0, end), ylim=(0, 112), xlabel=f"{name} since the rollout began")
        panel.set_yticks((0, 25, 50, 75, 100), ("0 %", "25 %", "50 %", "75 %", "100 %"))
        news_end, olds_end = shares[-1], olds[-1]
        if abs(news_end - olds_end) < 12:
            news_end, olds_end = 44.0, 56.0
        for label, color, place in (("new", _NEW, news_end), ("old", _OLD, olds_end)):
            panel.annotate(
                label,
                (times[-1], place),
                xytext=(5, 0),
                textcoords="offset points",
                color=color,
                va="center",
                fontweight="bold",
                annotation_clip=False,
            )

    return _drawn(draw, "time line", "share of the traffic of each generation over time")


def latencies(step: StepRecord) -> str:
    """Draw the share of the answers that came within a time, for each generation; "" where nothing was answered."""
    lines = [
        (label, color, *_cumulative(measured))
        for label, color, measured in (("old", _OLD, step.old), ("new", _NEW, step.new))
        if measured.times
    ]
    if not lines:
        return ""
    limit = next((figure.limit for figure in step.figures if figure.name == "p95"), None)

    def draw(panel: Axes) -> None:
        for _, color, times, shares in lines:
            panel.plot(times, shares, color=color, linestyle=_STROKES[color])
        low = min(times[0] for _, _, times, _ in lines)
        high = max(times[-1] for _, _, times, _ in lines)
        if limit is not None and low < limit < _FAR * high:
            high = max(high, limit)
            panel.plot((limit, limit), (90, 100), color=_TEXT)
            panel.annotate("p95 limit", (limit, 89), color=_TEXT, ha="center", va="top", fontsize=8.5)
        room = (high / low) ** 0.1 * 1.1  # for the names
        panel.set(xscale="log", xlim=(low / room, high * room), ylim=(0, 103), xlabel="milliseconds until the answer")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < _WIDE else (1,)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.set_yticks((0, 25, 50, 75, 95), ("0 %", "25 %", "50 %", "75 %", "95 %"))
        _name_curves(panel, lines)

    return _drawn(draw, step.name, f"latencies of both generations in the step {step.name}")


_Curve = tuple[str, str, list[float], list[float]]


def _name_step(panel: Axes, step: StepRecord, begin: float, end: float, whole: float) -> None:
    """Mark a step on the time line; a mirroring one with the share of the requests that was copied."""
    panel.axvline(begin, color=_GRID, linewidth=0.8, zorder=0)
    share = step.mirror or step.weight
    if step.mirror:
        panel.plot((begin, end), (share, share), color=_NEW, linestyle=":")
    if (end - begin) / whole >= _LEAST_WIDTH:
        text = f"copies\n{share} %" if step.mirror else f"{share} %"
        panel.annotate(text, ((begin + end) / 2, share + 2), color=_NEW, ha="center", va="bottom", fontsize=8.5)


def _name_curves(panel: Axes, lines: Sequence[_Curve]) -> None:
    """Write the quicker generation's name to the left of its line, and the slower one's to the right of its own."""
    quickest = sorted(lines, key=_middle)
    for line, (side, sign) in zip(quickest, (("right", -1), ("left", 1)), strict=False):
        panel.annotate(
            line[0],
            (_middle(line), 50),
            xytext=(8 * sign, 0),
            textcoords="offset points",
            color=line[1],
            ha=side,
            va="center",
            fontweight="bold",
        )


def _cumulative(measured: Measured) -> tuple[list[float], list[float]]:
    """Give times, and the percents of the answers that came within each.

    Envoy counts whole milliseconds, so an answer of 3 ms took from 3 to 4.
    """
    total = sum(count for _, _, count in measured.times)
    first = measured.times[0][0]
    times, shares, seen = [first or 0.5], [0.0], 0  # a logarithmic axis has no 0
    for low, high, count in measured.times:
        if low > times[-1]:
            times.append(low)
            shares.append(100 * seen / total)
        seen += count
        times.append(max(high, low + 1))
        shares.append(100 * seen / total)
    return times, shares


def _middle(line: _Curve) -> float:
    """Give the time within which half of the answers came."""
    return float(np.interp(50, line[3], line[2]))


def _time_unit(time: timedelta) -> tuple[timedelta, str]:
    if time > timedelta(hours=3):
        return timedelta(hours=1), "hours"
    return (timedelta(minutes=1), "minutes") if time > timedelta(minutes=3) else (timedelta(seconds=1), "seconds")


def _drawn(draw: Callable[[Axes], None], salt: str, title: str) -> str:
    """Draw a figure of one panel, and give the SVG element that stands inside a page."""
    with _DRAWING, matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever this user set for other plots
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": salt})
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="none")
        panel = figure.add_axes((0.115, 0.19, 0.79, 0.78), facecolor="none")
        draw(panel)
        panel.grid(True, axis="y", color=_GRID, linewidth=0.5)
        panel.tick_params(length=2)
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=nothing)
    return _inline(text.getvalue(), title)


def _inline(text: str, title: str) -> str:
    """Make an SVG file part of a page: no prologue, ids that no other drawing has, the page's colours."""
    element = text[text.index("<svg") :]
    element = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", element, flags=re.DOTALL)
    used = set(re.findall(r"#([A-Za-z][\w-]*)", element))
    element = re.sub(r'\sid="([^"]*)"', lambda found: found[0] if found[1] in used else "", element)
    for color, variable in _VARIABLES.items():
        element = element.replace(color, variable)
    element = (
        re.sub(r'\s(width|height|version|xmlns(:\w+)?)="[^"]*"', "", element.partition(">")[0])
        + ">"
        + (element.partition(">")[2])
    )
    return element.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1).strip()
