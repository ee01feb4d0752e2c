"""What the prover found of a new generation, and the table of its figures against their limits."""

import io
from collections.abc import Iterable, Iterator
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from common.part import Part

__all__ = ["Difference", "Figure", "Verdict", "drawn"]

_WIDTH = 120
_MOST_CHARACTERS = 80  # of a value that differs


class Figure(Part):
    """One measured figure of both generations, and the limit that judges the new one's."""

    step: str
    name: str
    unit: str
    old: float | None = None
    new: float | None = None
    limit: float | None = None
    passed: bool

    def cells(self) -> tuple[str, ...]:
        """Write the figure as a row of the table."""
        values = (self._shown(value) for value in (self.old, self.new, self.limit))
        return (self.step, self.name, *values, "yes" if self.passed else "NO")

    def __str__(self) -> str:
        beside = [
            f"{word} {self._shown(value)}" for word, value in (("before", self.old), ("limit", self.limit)) if value
        ]
        return f"{self.step}: {self.name} {self._shown(self.new)}" + (f" ({', '.join(beside)})" if beside else "")

    def _shown(self, value: float | None) -> str:
        if value is None:
            return "-"
        if self.unit == "share":
            return f"{value:.1%}"
        if self.unit == "ratio":
            return f"{value:.2f}"
        if self.unit == "count":
            return f"{value:,.0f}"
        return f"{value:,.1f} {self.unit}"


class Difference(Part):
    """A value of an answer that differs between the generations."""

    request: str
    path: str
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (
            text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..." for text in (self.old, self.new)
        )
        return f"{self.request} {self.path}: {old} before, {new} now"


class Verdict(Part):
    """The prover's result."""

    requests: int
    source: Literal["collected", "golden"]
    figures: tuple[Figure, ...]
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def refused_by(self) -> list[str]:
        """List the gates that a figure does not pass."""
        return list(dict.fromkeys(figure.step for figure in self.figures if not figure.passed))

    def table(self) -> str:
        """Draw the figures against their limits, a line each."""
        return drawn(self.figures)

    def lines(self) -> Iterator[str]:
        """Say what was asked and found besides the figures."""
        kind = "requests that COLLECT_URL holds" if self.source == "collected" else "golden requests"
        yield f"asked: {self.requests} {kind}"
        if self.differences:
            yield "the largest differences, by request:"
            yield from (f"  {difference}" for difference in self.differences)
        yield from self.notes


def drawn(figures: Iterable[Figure]) -> str:
    """Draw figures against their limits, a line each."""
    table = Table("step", "figure", box=box.SIMPLE_HEAD)
    for name in ("old", "new", "limit"):
        table.add_column(name, justify="right")
    table.add_column("passed")
    for figure in figures:
        table.add_row(*figure.cells())
    text = io.StringIO()
    Console(file=text, width=_WIDTH, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())
