"""What two generations did in a step of a rollout, by the figures of the Envoys, and how much slower the new one is."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Protocol

from gateway.admin import AdminError
from gateway.generation_figures import Figures, FiguresError, Snapshot, total
from settings.rollout_steps import Step

__all__ = ["Doors", "StepWatch", "slowdown"]

_WARM_UP = 0.2  # of a step's pause
_LATENCIES_FROM = 0.5  # of a step's pause: a version that is only cold must not end it
_WINDOW_ANSWERS = 10  # of each generation, in a window of a step
_FEW_WINDOWS = 3
_TWO_LOOKS = 2  # what one counted is known by two
_FINEST_MS = 1.0  # Envoy counts whole milliseconds: what is shorter counts as one
_SIGMAS = 1.645  # one-sided 95 %


class Doors(Protocol):
    """The front doors of a service, as far as their figures go."""

    def figures(self) -> Mapping[str, Snapshot]:
        """Give what both generations did since each Envoy's start, by the Envoy's name.

        Raises:
            AdminError: An Envoy does not answer.
        """


class StepWatch:
    """What the `old` and the `new` generation did since a step began, whatever Envoys started anew meanwhile."""

    def __init__(self, doors: Doors, step: Step) -> None:
        self._envoys = doors
        self._mirrors = step.mirror is not None
        began = time.monotonic()
        self._warm_at, self._settled_at = began + _WARM_UP * step.pause, began + _LATENCIES_FROM * step.pause
        self._windows: list[float] = []
        self._window = Figures(), Figures()  # where the next window begins
        self._cold: Snapshot | None = None  # what the warm-up saw
        self._doors: dict[str, _Door] = {}
        self._began = False
        self.notes: list[str] = []
        self._looks = 0
        self._problem = ""
        self.old = self.new = Figures()
        self.warm_answers = 0  # of the new generation, by which alone its latencies are told before the step's end
        self.look()

    def look(self) -> None:
        """Take in what both generations did by now; nothing where an Envoy does not answer."""
        try:
            for name, found in self._envoys.figures().items():
                # An Envoy that comes later counts from its start.
                door = self._doors.setdefault(name, _Door(Snapshot() if self._began else found))
                if door.look(found):
                    self.notes.append(f"{name} started anew meanwhile: its last seconds before are not counted")
            self._began, self._problem = True, ""
            self._looks += 1
        except AdminError as error:  # its supervisor starts it again
            self._problem = str(error)
        seen = total(door.total for door in self._doors.values())
        if self._cold is None and time.monotonic() >= self._warm_at:
            self._cold = seen
        cold = self._cold or Snapshot()
        self.old, self.new = _warm(seen.serving, cold.serving), _warm(self._new(seen), self._new(cold))
        warm = self._new(seen).milliseconds - self._new(cold).milliseconds
        self.warm_answers = 0 if self._cold is None else warm.total()
        if self._cold is not None:
            self._divide(seen.serving, self._new(seen))

    def sees(self) -> bool:
        """Look, and tell whether that worked."""
        self.look()
        return not self.blind

    @property
    def blind(self) -> str:
        """Why it is not known what happened until now: the last look failed. "" where it is known."""
        return self._problem or ("" if self._looks >= _TWO_LOOKS else "it was asked too seldom")

    @property
    def is_settled(self) -> bool:
        """Tell whether latencies may end the step before its pause does."""
        return time.monotonic() >= self._settled_at

    @property
    def sustained(self) -> float | None:
        """How many times the old generation's p95 the new one's is in the middle one of the windows; None: too few."""
        return median(self._windows) if len(self._windows) >= _FEW_WINDOWS else None

    def _divide(self, old: Figures, new: Figures) -> None:
        """Divide the step into windows: other work of the machine that falls on one generation shows in few of them."""
        if not self._window[0].requests and not self._window[1].requests:
            self._window = old, new
        parts = [
            Figures(milliseconds=now.milliseconds - before.milliseconds)
            for now, before in zip((old, new), self._window, strict=True)
        ]
        if all(part.milliseconds.total() >= _WINDOW_ANSWERS for part in parts):
            before, now = (max(_FINEST_MS, part.percentile(95) or 0.0) for part in parts)
            self._windows.append(now / before)
            self._window = old, new

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
        return max(_FINEST_MS, figures.percentile(100 * min(1.0, max(0.0, 0.95 + sign * spread))) or 0.0)

    return p95(new, 0) / p95(old, 0), p95(new, -1) / p95(old, +1), p95(new, +1) / p95(old, -1)
