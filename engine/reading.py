"""Reads what there is: of the stack's own resources (`refresh`), and of objects that are not its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from engine.diff import compare
from engine.errors import EngineError
from engine.goals import Goal, Step
from engine.snapshot import without
from engine.state import Resource, now
from engine.values import hide_keys
from engine.work import Work


class Readings:
    """The readings of one operation."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def refresh(self, urns: Collection[str] | None = None, *, clear_pending_creates: bool = False) -> None:
        """Makes the state what the providers find, of all resources or those given; what is gone leaves the state.

        As with the CLI, a resource counts as updated only if the next update would have to undo what was found.
        """
        snapshot = self._work.snapshot
        resources = [item for item in snapshot.base if not item.is_provider and (urns is None or item.urn in urns)]
        gone: set[str] = set()
        self._work.in_parallel(lambda item: self._refresh(item, gone), resources)
        rest = without(snapshot.base, gone) if gone else snapshot.base
        creating = [item for item in snapshot.pending if item.type == "creating" and not clear_pending_creates]
        snapshot.reset(rest, creating)
        self._work.reload()

    def _refresh(self, old: Resource, gone: set[str]) -> None:
        work = self._work
        work.refuse_stopped()
        work.observer.started(Step("refresh", old, old))
        try:
            operations = work.operations(old)
            if operations is None:
                work.observer.ended(Step("same", old, old))
                return
            with work.busy:
                found = operations.read(old.urn, old.id, old.inputs, old.outputs, old.custom_timeouts.get("read", 0))
            if not found.id:
                work.snapshot.remove(old)
                if not old.delete:
                    gone.add(old.urn)
                work.observer.ended(Step("delete", old, None))
                return
            new = replace(
                old, id=found.id, outputs=found.outputs, inputs=old.inputs if found.inputs is None else found.inputs
            )
            changes = compare(old.outputs, new.outputs)
            if changes.changed or compare(old.inputs, new.inputs).changed:
                new = replace(new, modified=now(), init_errors=())
                work.snapshot.exchange(old, new)
                with work.busy:
                    differs = operations.diff(new, old.inputs, old.ignore_changes).changed
                work.observer.ended(Step("update" if differs else "same", old, new, replace(changes, of_inputs=False)))
            else:
                work.observer.ended(Step("same", old, old))
        except EngineError as error:
            work.fail(Step("refresh", old, old), error)
            raise

    def read(self, goal: Goal, id_: str) -> Resource:
        """Reads an object that is not this stack's own, such as another stack (`StackReference`)."""
        work = self._work
        work.refuse_stopped()
        urn = work.claim(goal)
        old = work.old(urn, goal)
        new = Resource(
            urn=urn,
            type=goal.type,
            custom=True,
            id=id_,
            inputs=goal.inputs,
            parent=goal.parent,
            external=True,
            dependencies=goal.dependencies,
            provider=goal.provider,
            additional_secret_outputs=goal.additional_secret_outputs,
        )
        work.observer.started(Step("read", old, new))
        try:
            new = self._read(old, new)
        except EngineError as error:
            work.fail(Step("read", old, new), error)
            raise
        work.observer.ended(Step("read", old, new))
        with work.lock:
            work.news[urn] = new
        return new

    def _read(self, old: Resource | None, new: Resource) -> Resource:
        work = self._work
        operations = work.operations(new)
        assert operations is not None
        with work.busy:
            found = operations.read(new.urn, new.id, new.inputs, new.inputs, 0)
        if not found.id:
            raise EngineError(f"resource '{new.id}' does not exist")
        outputs = hide_keys(found.outputs, new.additional_secret_outputs)
        new = replace(new, id=found.id, outputs=outputs)
        if old is not None and not old.external:
            work.snapshot.exchange(old, replace(old, delete=True))
            work.snapshot.done(new)
        else:
            work.snapshot.done(new, old)
        return new
