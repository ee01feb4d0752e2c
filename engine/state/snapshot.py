"""The state of a stack while an operation changes it, written to the checkpoint as the operation goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Set
from dataclasses import fields, replace

from engine.errors import EngineError, StateNotWritten
from engine.state.checkpoint import Operation, Resource, State, encode_resource, features_of, write_deployment

Journal = Callable[[str, tuple[str, ...]], None]
"""Where a snapshot's deployments go, each with its features. Raises EngineError when one cannot be written."""


class Snapshot:
    """The resources done so far, in their order, and behind them those that the operation has not come to.

    A resource therefore always follows what it refers to.

    Writing is by group commit: a change waits until a write that began after it has ended, and one write serves all
    that wait. Each resource's JSON is made once. Without a `journal`, as in a preview, nothing is written.
    """

    def __init__(
        self, state: State, encrypt: Callable[[str], str], secrets_state: str, journal: Journal | None
    ) -> None:
        self._encrypt = encrypt
        self._secrets_state = secrets_state
        self._journal = journal
        self._base: dict[Resource, None] = dict.fromkeys(state.resources)
        self._done: dict[Resource, None] = {}
        self._pending: dict[Resource, Operation] = {operation.resource: operation for operation in state.pending}
        self._texts: dict[Resource, str] = {}
        self._names: dict[str, str] = {}
        self._gone: set[str] = set()
        self._turns = 0
        self._changed = threading.Condition()
        self._requested = 0
        self._written = 0
        self._failure: EngineError | None = None
        self._closed = False
        self._writer = threading.Thread(target=self._write_loop, daemon=True)
        if journal is not None:
            self._writer.start()

    @property
    def base(self) -> list[Resource]:
        """The resources of the last operation that this one has not replaced, removed or passed."""
        with self._changed:
            return list(self._base)

    @property
    def pending(self) -> list[Operation]:
        """The operations that were begun and have not ended."""
        with self._changed:
            return list(self._pending.values())

    def begin(self, type_: str, resource: Resource) -> None:
        """Record, durably, that an operation on the resource is about to start."""
        self._text(resource)
        with self._changed:
            self._pending[resource] = Operation(resource, type_)
        self._commit()

    def abandon(self, resource: Resource) -> None:
        """Take back `begin`: the operation has had no effect."""
        with self._changed:
            self._pending.pop(resource, None)
        self._commit()

    def done(
        self,
        new: Resource,
        old: Resource | None = None,
        *,
        begun: Resource | None = None,
        condemned: Resource | None = None,
    ) -> None:
        """Record, durably, a new resource, in the place of an old one; `condemned` is what stays of that one."""
        self._text(new)
        with self._changed:
            self._pending.pop(begun or new, None)
            for leftover in [
                item for item, op in self._pending.items() if item.urn == new.urn and op.type == "creating"
            ]:
                del self._pending[leftover]
            self._done[new] = None
            if old is not None:
                if condemned is not None:
                    self._swap(old, condemned)
                self._base.pop(old, None)
                self._done.pop(old, None)
                self._rename(old, new)
        self._commit()

    def passed(self, new: Resource, old: Resource) -> None:
        """Record an unchanged resource; nothing waits for it to be written."""
        same = all(getattr(new, item.name) == getattr(old, item.name) for item in fields(Resource))
        if not same:
            self._text(new)
        with self._changed:
            if same and old in self._texts:
                self._texts[new] = self._texts[old]
            self._base.pop(old, None)
            self._done[new] = None
            if not same:
                self._rename(old, new)
                self._requested += 1

    def exchange(self, old: Resource, new: Resource, *, begun: Resource | None = None) -> None:
        """Record, durably, a change of an old resource, which keeps its place."""
        self._text(new)
        with self._changed:
            self._pending.pop(begun or old, None)
            self._swap(old, new)
        self._commit()

    def _swap(self, old: Resource, new: Resource) -> None:
        for place in (self._base, self._done):
            if old in place:
                items = [new if item is old else item for item in place]
                place.clear()
                place.update(dict.fromkeys(items))

    def remove(self, old: Resource) -> None:
        """Record, durably, that a resource is no more. Nothing may refer to it."""
        with self._changed:
            self._pending.pop(old, None)
            self._base.pop(old, None)
            self._done.pop(old, None)
        self._commit()

    def vanish(self, old: Resource) -> None:
        """Record, durably, that a resource is no more, and that nothing refers to it."""
        with self._changed:
            for place in (self._pending, self._base, self._done):
                place.pop(old, None)
            if not any(item.urn == old.urn for item in (*self._base, *self._done)):
                self._gone.add(old.urn)
                self._forget_texts(old.urn)
        self._commit()

    def _rename(self, old: Resource, new: Resource) -> None:
        """Let those resources that the operation has not come to refer to a renamed one by its new URN."""
        if old.urn != new.urn:
            self._names[old.urn] = new.urn
            self._forget_texts(old.urn)

    def _forget_texts(self, urn: str) -> None:
        """Has the texts made anew of those that refer to the URN, those that are just being made included."""
        self._turns += 1
        for item in list(self._texts):
            if urn in item.references():
                self._texts.pop(item, None)

    def settle(self, pending: list[Operation]) -> None:
        """Record, durably, what vanished for good, and what is still pending."""
        with self._changed:
            self._base = dict.fromkeys(without(item, self._gone) for item in self._base)
            self._pending = {operation.resource: operation for operation in pending}
            self._gone.clear()
        self._commit()

    def _text(self, resource: Resource) -> str:
        while (text := self._texts.get(resource)) is None:
            with self._changed:
                turn = self._turns
                current = without(resource.renamed(self._names), self._gone)
            made = _json(current, self._encrypt)
            with self._changed:
                if turn == self._turns:
                    self._texts[resource] = made
        return text

    def _commit(self) -> None:
        if self._journal is None:
            return
        with self._changed:
            self._requested += 1
            ticket = self._requested
            self._changed.notify_all()
            while self._written < ticket and self._failure is None:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure

    def _write_loop(self) -> None:
        assert self._journal is not None
        while True:
            with self._changed:
                while self._requested == self._written and not self._closed:
                    self._changed.wait()
                if self._requested == self._written:
                    return
                ticket = self._requested
                failure: EngineError | None = None
                try:
                    # Under the lock: a name that changed between two texts would leave a reference to nothing.
                    deployment, features = self._deployment(), features_of((*self._done, *self._base))
                except EngineError as error:
                    failure = error
            if failure is None:
                try:
                    self._journal(deployment, features)
                except EngineError as error:
                    failure = error
                except Exception as error:  # or everybody would wait for ever
                    failure = StateNotWritten(f"The state cannot be written: {error!r}.")
            if failure is not None:
                with self._changed:
                    self._failure = failure
                    self._changed.notify_all()
                return
            with self._changed:
                self._written = ticket
                self._changed.notify_all()

    def _deployment(self) -> str:
        operations = [
            f'{{"resource":{self._text(item.resource)},"type":"{item.type}"}}' for item in self._pending.values()
        ]
        return write_deployment(map(self._text, (*self._done, *self._base)), operations, self._secrets_state)

    def close(self) -> None:
        """Write what is left to write.

        Raises:
            EngineError: That, or an earlier write, failed.
        """
        if self._journal is None:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join()
        if self._failure is not None:
            raise self._failure


def without(item: Resource, gone: Set[str]) -> Resource:
    """Return the resource with every reference to those that are gone left out."""
    if gone.isdisjoint(item.references()):
        return item
    return replace(
        item,
        dependencies=tuple(urn for urn in item.dependencies if urn not in gone),
        property_dependencies={
            key: [urn for urn in urns if urn not in gone] for key, urns in item.property_dependencies.items()
        },
        deleted_with="" if item.deleted_with in gone else item.deleted_with,
        parent="" if item.parent in gone else item.parent,
    )


def _json(item: Resource, encrypt: Callable[[str], str]) -> str:
    return json.dumps(encode_resource(item, encrypt), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
