"""Write down how a rollout went, whatever its end is.

    rollout ──► Recorder ──► <the service's folder>/reports/<started>-<generation>.json
                                    └──► targets.report: .html and .md beside it

A rollout that fails or is cancelled leaves its record too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import Self

from common.atomic_files import write_whole
from common.errors import UserError
from common.redaction import redacted
from common.waiting import Cancelled
from serving.proving.verdict import Verdict
from targets.report import writing
from targets.rollout_record import Outcome, RolloutRecord, StepRecord, now, records

__all__ = ["KEPT", "Recorder"]

KEPT = 20
"""Records of a service; the oldest go, with their reports."""


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
        self._planned = 0
        self._percent: int | None = None
        self._proof: Verdict | None = None

    def prove(self, verdict: Verdict) -> None:
        """Add the verdict of replay and performance."""
        self._proof = verdict

    def plan(self, steps: int) -> None:
        """Note how many steps the generation is to take."""
        self._planned = steps

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
        record = RolloutRecord(
            **self._about,
            started=self._started,
            ended=now(),
            outcome=self.outcome,
            percent=self._percent if self.outcome is Outcome.STAYS else None,
            why=why,
            proof=self._proof,
            steps=tuple(self._steps),
            planned=self._planned,
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / f"{self._started:%Y%m%dT%H%M%SZ}-{record.generation}.json"
        write_whole(file, record.model_dump_json(indent=2, by_alias=True), mode=0o600)
        writing.write(record, file, self._progress)
        for old in records(self._folder)[:-KEPT]:
            for written in (old, old.with_suffix(".html"), old.with_suffix(".md")):
                written.unlink(missing_ok=True)
