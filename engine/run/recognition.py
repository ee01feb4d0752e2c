"""Runs a program against the state as it is (`refresh --run-program`), so that outputs follow what was read."""

from __future__ import annotations

from engine.run.goals import Goal
from engine.run.work import Work
from engine.state.checkpoint import Resource
from engine.state.values import UNKNOWN_TEXT, Properties, Unknown, has


class Recognition:
    """Answers registrations from the state, and changes nothing but outputs."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def register(self, goal: Goal) -> Resource:
        """Return the resource as the state has it; one with no id, whose outputs are unknown, where it is not there."""
        work = self._work
        work.refuse_stopped()
        urn = work.claim(goal)
        old = work.old(urn, goal)
        if old is None:
            return Resource(urn, goal.type, custom=goal.custom, id=UNKNOWN_TEXT if goal.custom else "")
        work.snapshot.passed(old, old)
        with work.lock:
            work.news[urn] = old
        return old

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Set the outputs of a component or of the stack, those that are known."""
        work = self._work
        with work.lock:
            old = work.news.get(urn)
        if old is None:
            return
        kept = {key: value for key, value in old.outputs.items() if key in outputs}
        work.register_outputs(urn, kept | {key: value for key, value in outputs.items() if not has(value, Unknown)})
