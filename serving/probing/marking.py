"""How a reader of the probe's printed lines learns which problems are final: Kubernetes keeps them as text in an event.

probe --mark-final ──► "[final] model digits ..." ──► the kubelet's event ──► `unmarked` ──► Problem(final=True)
"""

from __future__ import annotations

from collections.abc import Iterable

from serving.probing.golden_check import Problem

_MARK = "[final] "


def marked(problems: Iterable[Problem]) -> list[str]:
    """Print problems as lines: the final ones first, each behind a mark, because an event may lose its end."""
    return [f"{_MARK}{problem}" if problem.final else str(problem) for problem in sorted(problems, key=_not_final)]


def unmarked(text: str) -> Problem:
    """Read what the probe printed, and whatever stands before it, back: final where one of the problems is."""
    return Problem(text.replace(_MARK, ""), final=_MARK in text)


def _not_final(problem: Problem) -> bool:
    return not problem.final
