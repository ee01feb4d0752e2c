"""The prover's verdict as people read it: a table of its figures against their limits, and lines."""

import io
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from serving.proving.verdict import Difference, Figure, Verdict

__all__ = ["findings", "interval", "judged", "line", "shown", "table"]

_WIDTH = 120
_PASSED = {None: "", True: "yes", False: "NO"}
_MOST_CHARACTERS = 80  # of a value that differs


def table(figures: Iterable[Figure]) -> str:
    """Draw figures against their limits, a line each."""
    drawing = Table("step", "figure", box=box.SIMPLE_HEAD)
    for name in ("old", "new", "limit"):
        drawing.add_column(name, justify="right")
    drawing.add_column("passed")
    for figure in figures:
        values = (shown(figure, figure.old), _new_value(figure), shown(figure, figure.limit))
        drawing.add_row(figure.step, figure.name, *values, _PASSED[judged(figure)])
    drawn = io.StringIO()
    Console(file=drawn, width=_WIDTH, color_system=None).print(drawing)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines() if line.strip())


def judged(figure: Figure) -> bool | None:
    """Tell whether a figure passed; None where nothing judged it: it has no limit, or nobody measured it."""
    if figure.passed and (figure.limit is None or figure.new is None):
        return None
    return figure.passed


def line(figure: Figure) -> str:
    """Write a figure on one line."""
    values = {"before": figure.old, "limit": figure.limit}
    beside = [f"{word} {shown(figure, value)}" for word, value in values.items() if value is not None]
    if bounds := interval(figure):
        beside.insert(0, bounds)
    found = f"{figure.step}: {figure.name} {shown(figure, figure.new)}"
    return found + (f" ({', '.join(beside)})" if beside else "")


def findings(verdict: Verdict) -> Iterator[str]:
    """Say what was asked and found besides the figures."""
    kind = "requests that COLLECT_URL holds" if verdict.source == "collected" else "golden requests"
    yield f"asked: {verdict.requests} {kind}"
    if verdict.differences:
        yield "the largest differences, by request:"
        yield from (f"  {_difference(found)}" for found in verdict.differences)
    yield from verdict.notes


def _new_value(figure: Figure) -> str:
    bounds = interval(figure)
    return shown(figure, figure.new) + (f" ({bounds})" if bounds else "")


def interval(figure: Figure) -> str:
    """Write down between which values a new version's figure is; "" where it is no estimate."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{shown(figure, figure.low)} to {shown(figure, figure.high)}"


def shown(figure: Figure, value: float | None) -> str:
    """Write a value down in the unit of a figure."""
    if value is None:
        return "-"
    if figure.unit == "share":
        return f"{value:.1%}"
    if figure.unit == "ratio":
        return f"{value:.2f}"
    if figure.unit == "count":
        return f"{value:,.0f}"
    return f"{value:,.1f} {figure.unit}"


def _difference(found: Difference) -> str:
    old, new = (
        text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..." for text in (found.old, found.new)
    )
    return f"{found.request} {found.path}: {old} before, {new} now"
