"""How plots are drawn: few lines a panel, each named at its end, as SVG that is the same for the same samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot  # noqa: E402  (after the choice of the drawing backend)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: E402

__all__ = ["BLACK", "BLUE", "GREEN", "ORANGE", "PURPLE", "SKY", "VERMILION", "Line", "draw", "pyplot", "save"]

# The palette of Okabe and Ito, whose colours stay apart for colour-blind readers; its yellow is too pale for lines.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
MOST_LINES = 6
_MARKS = {BLACK: "o", ORANGE: "v", SKY: "s", GREEN: "^", BLUE: "D", VERMILION: "X", PURPLE: "P"}
"""A mark for each colour, for readers who see none of them and for print."""


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: What the line shows, in a few words: they stand at its end.
        points: The values of the vertical axis by those of the horizontal one.
        color: One of this module's colours; a panel has each once.
    """

    label: str
    points: Mapping[int, float]
    color: str


def draw(panel: Axes, lines: Sequence[Line], *, title: str, xlabel: str) -> None:
    """Draw lines on logarithmic axes, and write the name of each at its end.

    Args:
        panel: Where the lines go.
        lines: At most six, each of its own colour.
        title: What the vertical axis measures.
        xlabel: What the horizontal axis counts.

    Raises:
        ValueError: There are more lines than a reader can follow, or two of one colour.
    """
    if len(lines) > MOST_LINES or len({line.color for line in lines}) < len(lines):
        raise ValueError(f"a panel has {len(lines)} lines; expected at most {MOST_LINES}, each of its own colour")
    counts = sorted({count for line in lines for count in line.points})
    for line in lines:
        xs = sorted(line.points)
        ys = [line.points[x] for x in xs]
        panel.plot(xs, ys, color=line.color, marker=_MARKS[line.color], markersize=4, linewidth=1.6)
    panel.set_title(title, loc="left", fontsize=9, fontweight="bold")
    panel.set(xscale="log", yscale="log", xlabel=xlabel)
    panel.set_xticks(counts, [f"{count:,}" for count in counts])
    panel.xaxis.set_minor_locator(NullLocator())
    values = [value for line in lines for value in line.points.values()]
    narrow = max(values) < 8 * min(values)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if narrow else (1, 2, 5)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.grid(True, which="major", color="#dddddd", linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)
    panel.margins(y=0.08)
    _name(panel, lines)


def save(figure: Figure, path: str) -> None:
    """Write a figure, and forget it."""
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _name(panel: Axes, lines: Sequence[Line]) -> None:
    """Write each line's name beside its last point, moved up or down where names would meet."""
    low, high = (math.log(limit) for limit in panel.get_ylim())
    ends = sorted(((math.log(line.points[max(line.points)]), line) for line in lines), key=lambda end: end[0])
    ends = [((value - low) / (high - low), line) for value, line in ends]
    for place, (_, line) in zip(_apart([place for place, _ in ends], 0.075), ends, strict=True):
        panel.annotate(
            line.label,
            xy=(1.02, place),
            xycoords="axes fraction",
            color=line.color,
            va="center",
            fontsize=8.5,
            fontweight="bold",
            annotation_clip=False,
        )


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Move sorted places so that neighbours are `least` apart: those that would meet keep their middle, up to 1."""
    groups: list[tuple[float, int]] = []  # the middle of each, and how many places it has
    for place in places:
        middle, size = place, 1
        while groups and middle - groups[-1][0] < least * (size + groups[-1][1]) / 2:
            before, count = groups.pop()
            middle, size = (before * count + middle * size) / (count + size), count + size
        groups.append((min(middle, 1 - least * (size - 1) / 2), size))
    return [middle + least * (index - (size - 1) / 2) for middle, size in groups for index in range(size)]
