"""A new generation's way through the steps of `deployment.rollout.steps`: shares of the traffic, judged one by one.

    step ──► Shares.share(weight or mirror) ──► pause, while Shares.figures() are looked at ──► next step
                                                    │ a limit is broken, or too few requests
                                                    └──► RefusedError: the target takes the share back

The figures come from Envoy: each generation's requests, errors and latencies in the step's own time. Both generations
serve in the same minutes, so a noisy machine falls on both. The first fifth of a pause warms the new generation up:
errors count from the start, latencies from there on.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from common.waiting import wait_until
from gateway.admin import AdminError
from gateway.generation_figures import Figures, FiguresError, Snapshot, total
from serving.proving.verdict import Figure, Unit
from settings.rollout_steps import Analysis, Step
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.rollout_record import Measured, Outcome, StepRecord, now
from targets.verdict import table

__all__ = ["Canary", "RefusedError", "Shares", "step_notes"]

_LOOK_SECONDS = 2.0
_TELL_EVERY = 15  # looks
_CLEAR = 2.0  # times a limit: what ends a step before its pause does
_LATENCIES_FROM = 0.5  # of a step's pause: a version that is only cold must not end it
_FEW_ERRORS = 3
_COPY_MS = 5.0  # by which copies may be slower: they compete with their originals for the machine
_WARM_UP = 0.2  # of a step's pause
_SIGMAS = 1.645  # one-sided 95 %


class RefusedError(ServiceError):
    """A new generation did not pass a step; the record says how far it came."""


class Shares(Protocol):
    """The front doors of a service, which send a share of the traffic to a new generation."""

    def share(self, *, weight: int = 0, mirror: int = 0) -> None:
        """Let the new generation answer or copy so many percent of the requests; returns once every Envoy does so."""

    def figures(self) -> Mapping[str, Snapshot]:
        """Give what both generations did since each Envoy's start, by the Envoy's name.

        Raises:
            AdminError: An Envoy does not answer.
        """


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
        watch = _Watch(self.shares, step)
        looks, latencies_from = 0, time.monotonic() + _LATENCIES_FROM * step.pause

        def broken() -> bool:
            nonlocal looks
            looks += 1
            old, new = watch.look()
            if looks % _TELL_EVERY == 0:
                self.progress(f"{called}: {_counted(new)} so far")
            settled = time.monotonic() >= latencies_from
            return analysis is not None and any(_clear(step, analysis, old, new, latencies=settled))

        early = wait_until(broken, seconds=step.pause, every=min(_LOOK_SECONDS, step.pause / 5))
        old, new = watch.look()
        figures = tuple(_figures(step, analysis or Analysis(), old, new))
        outcome = Outcome.PASSED
        if analysis is not None and new.requests < analysis.min_requests:
            outcome = Outcome.TOO_FEW_REQUESTS
        elif early or not all(figure.passed for figure in figures):
            outcome = Outcome.REFUSED
        notes = tuple(watch.notes)
        self.record(
            StepRecord(
                name=step.name,
                weight=step.set_weight or 0,
                mirror=step.mirror or 0,
                started=started,
                ended=now(),
                outcome=outcome,
                old=Measured.of(old),
                new=Measured.of(new),
                figures=figures,
                notes=notes,
            )
        )
        if outcome is Outcome.PASSED:
            self.progress(f"{called} passed: {_counted(new)}")
            return
        raise RefusedError("\n".join(self._refusal(called, step, outcome, figures, new, notes)))

    def _refusal(
        self,
        called: str,
        step: Step,
        outcome: Outcome,
        figures: tuple[Figure, ...],
        new: Figures,
        notes: tuple[str, ...],
    ) -> Iterator[str]:
        serves = f"generation {self.old} has all of the traffic again"
        if outcome is Outcome.TOO_FEW_REQUESTS:
            assert self.rollout.analysis is not None
            yield (
                f"{called} gave generation {self.new} {new.requests} requests in {step.pause} s, and "
                f"deployment.rollout.analysis.minRequests asks for {self.rollout.analysis.min_requests}: nothing is "
                f"decided, and {serves}. Lengthen the step's pause, raise its share, or lower minRequests"
            )
        else:
            yield f"{called} refused generation {self.new}; {serves}"
        if figures:
            yield table(figures)
        yield from notes
        if outcome is Outcome.REFUSED:
            yield "the limits are those of deployment.rollout.analysis"


def step_notes(rollout: RolloutPlan) -> Iterator[str]:
    """Say at preview which shares of the traffic a new version gets, and how long that takes."""
    percent = rollout.canary_traffic_percent
    if percent == 0:
        yield "rollout: a new version gets no traffic, because deployment.rollout.canaryTrafficPercent is 0"
    elif percent is not None and percent < 100:
        yield f"rollout: a new version gets {percent} % of the traffic and stays there, until a later `up` changes it"
    elif rollout.steps:
        shares = ", then ".join(f"{step.name} for {step.pause} s" for step in rollout.steps)
        judged = "" if rollout.analysis else "; deployment.rollout.analysis is left out, so no figure stops it"
        yield f"rollout: a new version gets {shares}: {rollout.steps_seconds} s{judged}"


class _Watch:
    """What both generations did since a step began, whatever Envoys started anew meanwhile."""

    def __init__(self, shares: Shares, step: Step) -> None:
        self._shares = shares
        self._mirrors = step.mirror is not None
        self._warm_at = time.monotonic() + _WARM_UP * step.pause
        self._cold: Snapshot | None = None  # what the warm-up saw
        self._doors: dict[str, _Door] = {}
        self._began = False
        self.notes: list[str] = []
        self.look()

    def look(self) -> tuple[Figures, Figures]:
        """Give the figures of the old and of the new generation; those of before where an Envoy does not answer."""
        try:
            for name, found in self._shares.figures().items():
                # An Envoy that comes later counts from its start.
                door = self._doors.setdefault(name, _Door(Snapshot() if self._began else found))
                if door.look(found):
                    self.notes.append(f"{name} started anew meanwhile: its last seconds before are not counted")
            self._began = True
        except AdminError:
            pass  # its supervisor starts it again
        seen = total(door.total for door in self._doors.values())
        if self._cold is None and time.monotonic() >= self._warm_at:
            self._cold = seen
        cold = self._cold or Snapshot()
        return _warm(seen.serving, cold.serving), _warm(self._new(seen), self._new(cold))

    def _new(self, snapshot: Snapshot) -> Figures:
        return snapshot.mirror if self._mirrors else snapshot.candidate


class _Door:
    """What one Envoy served since a step began."""

    def __init__(self, before: Snapshot) -> None:
        self._last = before
        self.total = Snapshot()

    def look(self, found: Snapshot) -> bool:
        """Take a new snapshot in; tells whether the Envoy started anew."""
        last, self._last = self._last, found
        try:
            self.total += found.since(last)
        except FiguresError:
            self.total += found  # since its new start
            return True
        return False


def _warm(figures: Figures, cold: Figures) -> Figures:
    """Leave the latencies of the warm-up out, where there are others."""
    warm = figures.milliseconds - cold.milliseconds
    return replace(figures, milliseconds=warm) if warm else figures


def _counted(figures: Figures) -> str:
    p95 = figures.percentile(95)
    took = f", p95 {p95:,.1f} ms" if p95 is not None else ""
    return f"{figures.requests:,} requests, {figures.error_rate:.1%} of them failed{took}"


def _figures(step: Step, analysis: Analysis, old: Figures, new: Figures) -> Iterator[Figure]:
    """Judge what a generation did in a step."""

    def figure(name: str, unit: Unit, before: float | None, now: float | None, limit: float | None) -> Figure:
        passed = limit is None or now is None or now <= limit
        return Figure(step=step.name, name=name, unit=unit, old=before, new=now, limit=limit, passed=passed)

    yield figure("requests", "count", old.requests, new.requests, None)
    yield figure("requests that failed", "share", old.error_rate, new.error_rate, analysis.max_error_rate)
    yield figure("p95", "ms", old.percentile(95), new.percentile(95), analysis.p95_ms)
    if (found := slowdown(old, new)) is not None:
        ratio, low, high = found
        limit = analysis.max_slowdown
        close = step.mirror is not None and (new.percentile(95) or 0) - (old.percentile(95) or 0) <= _COPY_MS
        passed = limit is None or low <= limit or close
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


def _clear(step: Step, analysis: Analysis, old: Figures, new: Figures, *, latencies: bool) -> Iterator[Figure]:
    """Yield the figures that are clearly over their limits, before the step's pause ends."""
    if new.requests < analysis.min_requests:
        return
    for figure in _figures(step, analysis, old, new):
        if figure.passed or figure.new is None or figure.limit is None:
            continue
        judged = new.errors >= _FEW_ERRORS if figure.unit == "share" else latencies
        if judged and (figure.new if figure.low is None else figure.low) > _CLEAR * figure.limit:
            yield figure


def slowdown(old: Figures, new: Figures) -> tuple[float, float, float] | None:
    """Give how many times the old generation's p95 the new one's is: the ratio, and its bounds; None where unknown.

    Both percentiles are estimates from a number of answers: a share q of n answers is known to
    1.645 * sqrt(q * (1 - q) / n), by the normal approximation of order statistics with 95 % on one side. The lower
    bound is of the new one's lower estimate to the old one's upper one. It judges, so that the same version twice is
    not refused for the luck of a few answers.
    """
    if not old.milliseconds.total() or not new.milliseconds.total():
        return None

    def p95(figures: Figures, sign: int) -> float:
        spread = _SIGMAS * math.sqrt(0.95 * 0.05 / figures.milliseconds.total())
        return figures.percentile(100 * min(1.0, max(0.0, 0.95 + sign * spread))) or 0.0

    if not p95(old, -1):
        return None
    return p95(new, 0) / p95(old, 0), p95(new, -1) / p95(old, +1), p95(new, +1) / p95(old, -1)
