"""Reads what there is: of the stack's own resources (`refresh`), and of objects that are not its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from engine.errors import EngineError
from engine.providers.failures import PartialFailure
from engine.providers.provider import ReadResult
from engine.providers.running_providers import Operations
from engine.run.goals import Goal, Step
from engine.run.work import Work
from engine.state.checkpoint import Resource, now
from engine.state.diff import compare
from engine.state.values import hide_keys


class Readings:
    """The readings of one operation."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def refresh(self, urns: Collection[str] | None = None, *, clear_pending_creates: bool = False) -> None:
        """Make the state what the providers find, of all resources or those given; what is gone leaves the state.

        As with the CLI, a resource counts as updated only if the next update would have to undo what was found.
        """
        snapshot = self._work.snapshot
        resources = [item for item in snapshot.base if not item.is_provider and (urns is None or item.urn in urns)]
        self._work.in_parallel(self._refresh, resources)
        snapshot.settle([item for item in snapshot.pending if item.type == "creating" and not clear_pending_creates])
        self._work.reload()

    def _refresh(self, old: Resource) -> None:
        work = self._work
        work.refuse_stopped()
        work.observer.started(Step("refresh", old, old))
        try:
            operations = work.operations(old)
            if operations is None:
                work.observer.ended(Step("same", old, old))
                return
            found, reasons = self._find(operations, old)
            if not found.id:
                work.snapshot.vanish(old)
                work.observer.ended(Step("delete", old, None))
                return
            new = replace(
                old,
                id=found.id,
                outputs=hide_keys(found.outputs, old.additional_secret_outputs),
                inputs=old.inputs if found.inputs is None else found.inputs,
            )
            changes = compare(old.outputs, new.outputs)
            if changes.changed or compare(old.inputs, new.inputs).changed or reasons:
                new = replace(new, modified=now(), init_errors=reasons)
                work.snapshot.exchange(old, new)
                with work.busy:
                    differs = operations.diff(new, old.inputs, old.ignore_changes).changed
                work.observer.ended(Step("update" if differs else "same", old, new, replace(changes, of_inputs=False)))
            else:
                work.observer.ended(Step("same", old, old))
        except EngineError as error:
            work.fail(Step("refresh", old, old), error)
            raise

    def _find(self, operations: Operations, old: Resource) -> tuple[ReadResult, tuple[str, ...]]:
        """Return what there is now, and why it is not ready: which fails no refresh, the next update sees to it."""
        try:
            with self._work.busy:
                deadline = old.custom_timeouts.get("read", 0)
                return operations.read(old.urn, old.id, old.inputs, old.outputs, deadline), ()
        except PartialFailure as error:
            reasons = "".join(f"\n* {reason}" for reason in error.reasons)
            self._work.observer.log("warning", f"Refreshed resource is in an unhealthy state:{reasons}", old.urn)
            return ReadResult(error.id, error.outputs, error.inputs), error.reasons

    def read(self, goal: Goal, id_: str) -> Resource:
        """Read an object that is not this stack's own, such as another stack (`StackReference`)."""
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

    def registered(self, urn: str) -> Resource:
        """Return a resource that this operation has registered or read.

        Raises:
            EngineError: There is none of that URN.
        """
        with self._work.lock:
            found = self._work.news.get(urn)
        if found is None:
            raise EngineError(f"unknown resource '{urn}': this run has not registered it")
        return found

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
            work.snapshot.done(new, old, condemned=replace(old, delete=True))
        else:
            work.snapshot.done(new, old)
        return new
