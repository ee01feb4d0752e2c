"""Samples of one measure and how reports show them: the median, and the whole range that was seen."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Samples", "table"]


@dataclass(frozen=True)
class Samples:
    """Values of one measure, one of each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        shown = [_figure(value) for value in (self.median, min(self.values), max(self.values))]
        return shown[0] if len(self.values) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown: the first column to the left, figures to the right."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _figure(value: float) -> str:
    """Three significant digits at most, thousands with a comma."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
