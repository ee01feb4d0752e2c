"""Deletes resources: those that the program no longer has, and those that were replaced."""

from __future__ import annotations

from dataclasses import replace

from engine.errors import Cancelled, EngineError
from engine.providers.failures import ProviderError
from engine.run.goals import Step
from engine.run.work import Work
from engine.state.checkpoint import Resource
from engine.state.diff import NO_DIFF, replace_on_changes
from engine.state.values import UNKNOWN


class Deletions:
    """The deletions of one operation. A resource goes only after everything that refers to it."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._leaving: set[str] = set()
        self._replaced: set[str] = set()  # deleted ahead of their replacements

    def delete_rest(self) -> None:
        """Delete every resource of the last state that the program did not register, or that was replaced."""
        work = self._work
        self._leaving = {item.urn for item in work.snapshot.base if item.urn not in work.seen}
        leaving = [item for item in work.snapshot.base if item.delete or item.urn in self._leaving]
        for wave in reversed(_waves(leaving)):
            work.refuse_stopped()
            work.in_parallel(self._delete, wave)

    def _delete(self, item: Resource) -> None:
        work = self._work
        op = _op(item, replaced=item.delete)
        try:
            work.refuse_stopped()
            if item.protect and not item.delete:
                raise EngineError(
                    f'resource "{item.urn}" cannot be deleted\nbecause it is protected. To unprotect the resource, '
                    "remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`"
                )
            if item.delete or not item.pending_replacement:
                self._delete_object(op, item)
            work.snapshot.remove(item)
        except Cancelled:
            raise
        except EngineError as error:
            work.fail(Step(op, item, None), error)
            raise

    def delete_replaced(self, old: Resource) -> Resource:
        """Delete a resource ahead of its replacement; it stays in the state, marked."""
        work = self._work
        with work.lock:
            self._replaced.add(old.urn)
        self._delete_object(_op(old, replaced=True), old)
        marked = replace(old, pending_replacement=True)
        work.snapshot.exchange(old, marked)
        with work.lock:
            work.olds[old.urn] = marked
        return marked

    def _delete_object(self, op: str, old: Resource) -> None:
        work = self._work
        step = Step(op, old, None)
        work.observer.started(step)
        gone_with = old.deleted_with in self._leaving or old.deleted_with in self._replaced
        if not (work.preview or not old.custom or old.external or old.retain_on_delete or gone_with):
            operations = work.operations(old)
            assert operations is not None
            if not old.is_provider:
                work.snapshot.begin("deleting", old)
            try:
                with work.busy:
                    operations.delete(old, old.custom_timeouts.get("delete", 0))
            except ProviderError as error:
                if not error.unknown_outcome:
                    work.snapshot.abandon(old)
                raise
        work.observer.ended(step)

    def dependents(self, root: Resource) -> list[Resource]:
        """Return the resources that have to be replaced with the root, in dependency order.

        Those that are deleted with one of them, and those whose inputs come from one, if their provider says that
        unknown inputs would replace them.
        """
        work = self._work
        with work.lock:
            self._replaced.add(root.urn)  # with which its dependents, though deleted first, are deleted
        replaced = {root.urn}
        found = []
        for item in work.snapshot.base:
            if item.urn in work.seen or item.delete or not item.custom or item.external or item.pending_replacement:
                continue
            if item.provider_urn in replaced or item.deleted_with in replaced:
                doomed = True
            else:
                unknown = {
                    key: UNKNOWN
                    for key in item.inputs
                    if not replaced.isdisjoint(item.property_dependencies.get(key, ()))
                }
                operations = work.operations(item) if unknown else None
                diff = operations.diff(item, item.inputs | unknown, item.ignore_changes) if operations else NO_DIFF
                doomed = diff.changed and replace_on_changes(diff, item.replace_on_changes).replaces
            if doomed:
                replaced.add(item.urn)
                found.append(item)
        return found


def _op(item: Resource, *, replaced: bool) -> str:
    """Return what was only read, another stack's outputs say, is forgotten and not deleted."""
    return ("discard" if item.external else "delete") + ("-replaced" if replaced else "")


def _waves(items: list[Resource]) -> list[list[Resource]]:
    """Return the resources in groups, each of which refers to earlier groups only."""
    level: dict[Resource, int] = {}
    by_urn: dict[str, list[Resource]] = {}
    for item in items:
        below = [level[other] for urn in set(item.references()) for other in by_urn.get(urn, ())]
        level[item] = max(below, default=-1) + 1
        by_urn.setdefault(item.urn, []).append(item)
    waves: list[list[Resource]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for item, number in level.items():
        waves[number].append(item)
    return waves
