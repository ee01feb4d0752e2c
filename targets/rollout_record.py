"""The record of a rollout: what its new generation did in each step, and how it ended.

    rollout ──► Recorder ──► <the service's folder>/reports/<started>-<generation>.json
                                    └──► targets.report: .html and .md beside it

A report for people is made of this record, and of nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any

from typing_extensions import Self

from common.atomic_files import write_whole
from common.errors import UserError
from common.part import Part
from common.redaction import redacted
from common.waiting import Cancelled
from gateway.generation_figures import Figures
from serving.proving.verdict import Figure, Verdict

__all__ = ["Measured", "Outcome", "Recorder", "RolloutRecord", "StepRecord", "records"]

KEPT = 20
"""Records of a service; the oldest go, with their reports."""


class Outcome(str, Enum):
    """How a step or a rollout ended."""

    PASSED = "passed"
    REFUSED = "refused"
    TOO_FEW_REQUESTS = "too few requests"
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

    `percent` is the share of the traffic at which it stays.
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


class Recorder:
    """Collects what a rollout does, and writes it down at its end, whatever the end is."""

    def __init__(
        self,
        folder: Path,
        *,
        service: str,
        target: str,
        generation: int,
        before: int | None,
        progress: Callable[[str], object],
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._about: dict[str, Any] = {"service": service, "target": target, "generation": generation, "before": before}
        self._started = now()
        self._steps: list[StepRecord] = []
        self.outcome = Outcome.PASSED
        self._percent: int | None = None
        self._proof: Verdict | None = None

    def prove(self, verdict: Verdict) -> None:
        """Add the verdict of replay and performance."""
        self._proof = verdict

    def step(self, record: StepRecord) -> None:
        """Add a step that ended."""
        self._steps.append(record)
        self.outcome = record.outcome

    def stays(self, percent: int) -> None:
        """Note that the generation keeps a share of the traffic until a later rollout."""
        self._percent, self.outcome = percent, Outcome.STAYS

    @contextmanager
    def recording(self) -> Iterator[Self]:
        """Write the record down at the end of the block."""
        why = ""
        try:
            yield self
        except BaseException as error:
            why = redacted(str(error)) if isinstance(error, UserError) else type(error).__name__
            if isinstance(error, Cancelled | KeyboardInterrupt):
                self.outcome = Outcome.CANCELLED
            elif self.outcome is Outcome.PASSED:
                refused = self._proof is not None and self._proof.refused_by
                self.outcome = Outcome.REFUSED if refused else Outcome.FAILED
            raise
        finally:
            self._write(why)

    def _write(self, why: str) -> None:
        from targets.report import writing  # made of records, so it imports this module

        record = RolloutRecord(
            **self._about,
            started=self._started,
            ended=now(),
            outcome=self.outcome,
            percent=self._percent if self.outcome is Outcome.STAYS else None,
            why=why,
            proof=self._proof,
            steps=tuple(self._steps),
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / f"{self._started:%Y%m%dT%H%M%SZ}-{record.generation}.json"
        write_whole(file, record.model_dump_json(indent=2, by_alias=True), mode=0o600)
        writing.write(record, file, self._progress)
        for old in records(self._folder)[:-KEPT]:
            for written in (old, old.with_suffix(".html"), old.with_suffix(".md")):
                written.unlink(missing_ok=True)


def records(folder: Path) -> list[Path]:
    """List the records of a service's folder of reports, the oldest first."""
    return sorted(folder.glob("*.json"))


def now() -> datetime:
    """Tell the time as records have it."""
    return datetime.now(timezone.utc).replace(microsecond=0)
