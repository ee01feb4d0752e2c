"""A new generation's way through the steps of `deployment.rollout.steps`: shares of the traffic, judged one by one.

    step ──► Shares.share(weight or mirror) ──► pause, while Shares.figures() are looked at ──► next step
                                                    │ a limit is broken, or too few requests
                                                    └──► RefusedError: the target takes the share back

The figures come from Envoy: each generation's requests, errors and latencies in the step's own time. Both generations
serve in the same minutes, so a noisy machine falls on both. The first fifth of a pause warms the new generation up:
errors count from the start, latencies from there on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.waiting import Cancelled, wait_until
from gateway.generation_figures import Figures
from serving.proving.verdict import Figure, Unit
from settings.rollout_steps import Analysis, Step
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.rollout_record import Measured, Outcome, StepRecord, now
from targets.step_watch import Doors, StepWatch, slowdown
from targets.verdict_text import table

__all__ = ["Canary", "RefusedError", "Shares"]

_LOOK_SECONDS = 2.0
_TELL_EVERY = 15  # looks
_CLEAR = 2.0  # times a limit: what ends a step before its pause does
_FEW_ERRORS = 3
_ALL = 100
_PATIENCE_SECONDS = 15  # with an Envoy that a supervisor starts again
_NOISE_MS = 10.0  # a busy machine delays the answers of one generation so much, and not the other's, for seconds


class RefusedError(ServiceError):
    """A new generation did not pass a step; the record says how far it came."""


class Shares(Doors, Protocol):
    """The front doors of a service, which send a share of the traffic to a new generation."""

    def share(self, *, weight: int = 0, mirror: int = 0) -> None:
        """Let the new generation answer or copy so many percent of the requests; returns once every Envoy does so."""


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A generation that is to take over the traffic step by step.

    Attributes:
        rollout: The steps, and the analysis that judges them.
        new: The number of the generation.
        old: The number of the generation that has the traffic.
        shares: The front doors.
        progress: Is told what happens.
        record: Is told each step as it went.
    """

    rollout: RolloutPlan
    new: int
    old: int
    shares: Shares
    progress: Callable[[str], None]
    record: Callable[[StepRecord], None]

    def judge(self) -> None:
        """Go through all steps. The share of the last one stays: the caller promotes the generation.

        Raises:
            RefusedError: A step is not passed. The caller takes the share back.
            Cancelled: Somebody cancelled. The caller does the same.
        """
        for number, step in enumerate(self.rollout.steps, 1):
            self._take(step, f"step {number} of {len(self.rollout.steps)} ({step.name})")

    def _take(self, step: Step, called: str) -> None:
        analysis = self.rollout.analysis
        started = now()
        self.shares.share(weight=step.set_weight or 0, mirror=step.mirror or 0)
        self.progress(f"{called} of generation {self.new}, for {step.pause} s")
        watch = StepWatch(self.shares, step)
        looks = 0

        def broken() -> bool:
            nonlocal looks
            looks += 1
            watch.look()
            if looks % _TELL_EVERY == 0:
                self.progress(f"{called}: {_counted(watch.new)} so far")
            return analysis is not None and any(_clear(step, analysis, watch))

        try:
            early = wait_until(broken, seconds=step.pause, every=min(_LOOK_SECONDS, step.pause / 5))
        except Cancelled:
            self._note(step, started, watch, Outcome.CANCELLED, tuple(_figures(step, analysis, watch, ended=False)))
            raise
        wait_until(watch.sees, seconds=_PATIENCE_SECONDS, every=1)
        new, figures = watch.new, tuple(_figures(step, analysis, watch))
        outcome = Outcome.PASSED
        if analysis is not None and watch.blind and not early:
            outcome = Outcome.NO_FIGURES
        elif analysis is not None and new.requests < analysis.min_requests:
            outcome = Outcome.TOO_FEW_REQUESTS
        elif early or not all(figure.passed for figure in figures):
            outcome = Outcome.REFUSED
        self._note(step, started, watch, outcome, figures)
        if outcome is Outcome.PASSED:
            self.progress(f"{called} passed: {_counted(new)}")
            return
        raise RefusedError("\n".join(self._refusal(called, step, outcome, figures, watch)))

    def _note(
        self, step: Step, started: datetime, watch: StepWatch, outcome: Outcome, figures: tuple[Figure, ...]
    ) -> None:
        """Write the step down as it went."""
        self.record(
            StepRecord(
                name=step.name,
                weight=step.set_weight or 0,
                mirror=step.mirror or 0,
                started=started,
                ended=now(),
                outcome=outcome,
                old=Measured.of(watch.old),
                new=Measured.of(watch.new),
                figures=figures,
                notes=tuple(watch.notes),
            )
        )

    def _refusal(
        self,
        called: str,
        step: Step,
        outcome: Outcome,
        figures: tuple[Figure, ...],
        watch: StepWatch,
    ) -> Iterator[str]:
        serves = f"generation {self.old} has all of the traffic again"
        if outcome is Outcome.NO_FIGURES:
            yield (
                f"{called} decided nothing: a front door does not tell what generation {self.new} does "
                f"({watch.blind}); {serves}"
            )
        elif outcome is Outcome.TOO_FEW_REQUESTS:
            assert self.rollout.analysis is not None
            yield (
                f"{called} gave generation {self.new} {watch.new.requests} requests in {step.pause} s, and "
                f"deployment.rollout.analysis.minRequests asks for {self.rollout.analysis.min_requests}: nothing is "
                f"decided, and {serves}. Lengthen the step's pause, raise its share, or lower minRequests"
            )
        else:
            yield f"{called} refused generation {self.new}; {serves}"
        if figures:
            yield table(figures)
        yield from watch.notes
        if outcome is Outcome.REFUSED:
            yield "the limits are those of deployment.rollout.analysis"


def _counted(figures: Figures) -> str:
    p95 = figures.percentile(95)
    took = f", p95 {p95:,.1f} ms" if p95 is not None else ""
    return f"{figures.requests:,} requests, {figures.error_rate:.1%} of them failed{took}"


def _figures(step: Step, analysis: Analysis | None, watch: StepWatch, *, ended: bool = True) -> Iterator[Figure]:
    """Judge what a generation did in a step; without an analysis nothing is limited.

    The number of requests is judged where the step has `ended` alone.
    """
    old, new = watch.old, watch.new

    def figure(name: str, unit: Unit, before: float | None, now: float | None, limit: float | None) -> Figure:
        passed = limit is None or now is None or now <= limit
        return Figure(step=step.name, name=name, unit=unit, old=before, new=now, limit=limit, passed=passed)

    least = analysis.min_requests if analysis and ended else None
    enough = least is None or new.requests >= least
    yield Figure(
        step=step.name, name="requests", unit="count", old=old.requests, new=new.requests, limit=least, passed=enough
    )
    analysis = analysis or Analysis()
    yield figure("requests that failed", "share", old.error_rate, new.error_rate, analysis.max_error_rate)
    yield figure("p95", "ms", old.percentile(95), new.percentile(95), analysis.p95_ms)
    # At 100 % the old generation has a few last requests alone, which are its longest.
    if step.set_weight != _ALL and (found := slowdown(old, new)) is not None:
        ratio, low, high = found
        limit = analysis.max_slowdown
        close = (new.percentile(95) or 0) - (old.percentile(95) or 0) <= _NOISE_MS
        passed = limit is None or low <= limit or close or (watch.sustained or low) <= limit
        yield Figure(
            step=step.name,
            name="slowdown of p95",
            unit="ratio",
            new=ratio,
            low=low,
            high=high,
            limit=limit,
            passed=passed,
        )


def _clear(step: Step, analysis: Analysis, watch: StepWatch) -> Iterator[Figure]:
    """Yield the figures that are clearly over their limits, before the step's pause ends.

    Latencies do not end a mirror step: no client waits for a copy, and more of them tell more.
    """
    if watch.new.requests < analysis.min_requests:
        return
    for figure in _figures(step, analysis, watch):
        if figure.passed or figure.new is None or figure.limit is None:
            continue
        if figure.unit == "share":
            judged = watch.new.errors >= _FEW_ERRORS
        else:
            judged = step.mirror is None and watch.is_settled and watch.warm_answers >= analysis.min_requests
        if judged and (figure.new if figure.low is None else figure.low) > _CLEAR * figure.limit:
            yield figure
