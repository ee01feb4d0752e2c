"""The prover's verdict: the prover writes it, and a target reads it (`serving.proving.wire`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["share", "ms", "requests/s", "ratio", "count"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of both generations, and the limit that judges the new one's; `step` names the gate or the step.

    An estimate has an interval too, from `low` to `high`, in which the true value is.
    """

    step: str
    name: str
    unit: Unit
    old: float | None = None
    new: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    passed: bool


@dataclass(frozen=True)
class Difference:
    """A value of an answer that differs between the generations; `old` and `new` are short texts."""

    request: str
    path: str
    old: str
    new: str


@dataclass
class Verdict:
    """What was found."""

    requests: int
    source: Literal["collected", "golden"]
    figures: list[Figure] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def refused_by(self) -> list[str]:
        """List the gates that a figure does not pass."""
        return list(dict.fromkeys(figure.step for figure in self.figures if not figure.passed))
