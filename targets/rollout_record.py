"""The record of a rollout: what its new generation did in each step, and how it ended.

A report for people is made of this record, and of nothing else.
"""

from datetime import datetime, timezone
from enum import Enum
from pathlib import Path

from typing_extensions import Self

from common.part import Part
from gateway.generation_figures import Figures
from serving.proving.verdict import Figure, Verdict

__all__ = ["Measured", "Outcome", "RolloutRecord", "StepRecord", "now", "records"]


class Outcome(str, Enum):
    """How a step or a rollout ended."""

    PASSED = "passed"
    REFUSED = "refused"
    TOO_FEW_REQUESTS = "too few requests"
    NO_FIGURES = "no figures"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STAYS = "stays at its share"


class Measured(Part):
    """What one generation did in a step.

    Attributes:
        requests: Answered requests, or answered copies where the step mirrors.
        errors: Those that failed (`gateway.generation_figures.Figures.errors`).
        dropped: Copies that Envoy did not send because too many were under way.
        times: How many answers took how long: the lower and the upper bound in milliseconds, and the count.
    """

    requests: int = 0
    errors: int = 0
    dropped: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    times: tuple[tuple[float, float, int], ...] = ()

    @classmethod
    def of(cls, figures: Figures) -> Self:
        """Write Envoy's figures down."""
        return cls(
            requests=figures.requests,
            errors=figures.errors,
            dropped=figures.dropped,
            p50_ms=figures.percentile(50),
            p95_ms=figures.percentile(95),
            p99_ms=figures.percentile(99),
            times=tuple((low, low + width, count) for (low, width), count in sorted(figures.milliseconds.items())),
        )


class StepRecord(Part):
    """A step as it went; `weight` and `mirror` are percents, times are in UTC."""

    name: str
    weight: int
    mirror: int
    started: datetime
    ended: datetime
    outcome: Outcome
    old: Measured
    new: Measured
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()


class RolloutRecord(Part):
    """A rollout: `generation` took over, or was to take over, from the generation `before` it.

    `percent` is the share of the traffic at which it stays. `planned` counts the steps that it was to take; 0 in a
    record that an older release wrote.
    """

    service: str
    target: str
    generation: int
    before: int | None
    started: datetime
    ended: datetime
    outcome: Outcome
    percent: int | None = None
    why: str = ""
    proof: Verdict | None = None
    steps: tuple[StepRecord, ...] = ()
    planned: int = 0


def records(folder: Path) -> list[Path]:
    """List the records of a service's folder of reports, the oldest first."""
    return sorted(folder.glob("*.json"))


def now() -> datetime:
    """Tell the time as records have it."""
    return datetime.now(timezone.utc).replace(microsecond=0)
