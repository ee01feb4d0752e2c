"""Makes resources what the program wants them to be: decides between creating, updating and replacing, and does it."""

from __future__ import annotations

from dataclasses import replace

from engine.errors import EngineError
from engine.providers.failures import PartialFailure, ProviderError
from engine.providers.running_providers import Operations
from engine.run.deletion import Deletions
from engine.run.goals import Goal, Step
from engine.run.work import Work
from engine.state.checkpoint import Resource, now
from engine.state.diff import NO_DIFF, Diff, compare, keep_old, replace_on_changes
from engine.state.values import hide_keys


class Registrations:
    """The registrations of one operation. Methods may be called from many threads.

    Each raises EngineError when its resource fails, Cancelled when the operation was stopped before it began; of a
    failure the person has then been shown.
    """

    def __init__(self, work: Work, deletions: Deletions) -> None:
        self._work = work
        self._deletions = deletions
        self._condemned: dict[str, Resource] = {}  # deleted ahead of a resource that they depend on, by URN

    def register(self, goal: Goal) -> Resource:
        """Make the resource what the program wants it to be."""
        work = self._work
        work.refuse_stopped()
        urn = work.claim(goal)
        old = work.old(urn, goal)
        new = Resource(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            inputs=goal.inputs,
            parent=goal.parent,
            protect=goal.protect,
            dependencies=goal.dependencies,
            provider=goal.provider,
            property_dependencies=goal.property_dependencies,
            additional_secret_outputs=goal.additional_secret_outputs,
            custom_timeouts=goal.custom_timeouts,
            retain_on_delete=goal.retain_on_delete,
            deleted_with=goal.deleted_with,
            ignore_changes=goal.ignore_changes,
            replace_on_changes=goal.replace_on_changes,
        )
        try:
            result = self._decide(goal, old, new)
        except EngineError as error:
            work.fail(Step("update" if old else "create", old, new), error)
            raise
        with work.lock:
            work.news[urn] = result
        return result

    def _decide(self, goal: Goal, old: Resource | None, new: Resource) -> Resource:
        operations = self._work.operations(new)
        recreating = old is not None and old.urn in self._condemned
        if old is not None and goal.ignore_changes:
            new = replace(new, inputs=keep_old(old.inputs, goal.inputs, list(goal.ignore_changes)))
        if operations is not None:
            fresh = old is None or recreating or old.external or old.taint
            old_inputs = {} if fresh or old is None else old.inputs
            new = replace(new, inputs=operations.check(new.urn, old_inputs, new.inputs))
        if old is None:
            return self._create("create", new)
        if recreating:
            return self._replace_deleted(self._condemned.pop(old.urn), new, NO_DIFF)
        if old.external:
            return self._replace_later(old, new, NO_DIFF)
        diff = self._diff(operations, old, new)
        if old.pending_replacement or diff.replaces:
            return self._replace(goal, operations, old, new, diff)
        if diff.changed or old.init_errors:
            return self._update(operations, old, new, diff)
        return self._same(old, new)

    def _diff(self, operations: Operations | None, old: Resource, new: Resource) -> Diff:
        if old.taint:
            return Diff(changed=True, replace_keys=("id",))
        if self._provider_changed(old, new):
            return Diff(changed=True, replace_keys=("provider",))
        if operations is None:
            return compare(old.inputs, new.inputs)
        diff = operations.diff(old, new.inputs, new.ignore_changes)
        return replace_on_changes(diff, new.replace_on_changes) if diff.changed else NO_DIFF

    def _provider_changed(self, old: Resource, new: Resource) -> bool:
        """Tell whether the resource's provider is another one, that cannot take over from the former."""
        work = self._work
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        if work.former.get(new.provider_urn) == old.provider_urn:
            return False
        before, after = work.provider(old.provider), work.provider(new.provider)
        if before is None or after is None:
            return True
        return work.registry.diff_with(new.provider, before, after.inputs, work.provider).replaces

    def _same(self, old: Resource, new: Resource) -> Resource:
        new = _continued(new, old)
        if new.is_provider:
            self._work.registry.configure(replace(new, inputs=old.inputs))
        self._work.snapshot.passed(new, old)
        self._work.observer.ended(Step("same", old, new))
        return new

    def _create(self, op: str, new: Resource, old: Resource | None = None, diff: Diff = NO_DIFF) -> Resource:
        """Create the resource. The one it replaces is marked for deletion, or removed if it is deleted already."""
        work = self._work
        work.observer.started(Step(op, old, new, diff))
        operations = work.operations(new)
        begun = new
        if operations is not None:
            if not (work.preview or new.is_provider):
                work.snapshot.begin("creating", begun)
            try:
                deadline = new.custom_timeouts.get("create", 0)
                with work.busy:
                    id_, outputs = operations.create(new.urn, new.inputs, preview=work.preview, deadline=deadline)
            except PartialFailure as error:
                outputs = hide_keys(error.outputs, new.additional_secret_outputs)
                new = replace(new, id=error.id, outputs=outputs, init_errors=error.reasons)
                self._put(_stamped(new), old, begun)
                raise
            except ProviderError as error:
                if not error.unknown_outcome:
                    work.snapshot.abandon(begun)
                raise
            new = replace(new, id=id_, outputs=hide_keys(outputs, new.additional_secret_outputs))
        new = _stamped(new)
        self._put(new, old, begun)
        work.observer.ended(Step(op, old, new, diff))
        return new

    def _put(self, new: Resource, old: Resource | None, begun: Resource) -> None:
        if old is None or old.pending_replacement:
            self._work.snapshot.done(new, old, begun=begun)
        else:
            self._work.snapshot.done(new, old, begun=begun, condemned=replace(old, delete=True))

    def _update(self, operations: Operations | None, old: Resource, new: Resource, diff: Diff) -> Resource:
        work = self._work
        new = _continued(new, old)
        work.observer.started(Step("update", old, new, diff))
        if operations is not None:
            if not (work.preview or new.is_provider):
                work.snapshot.begin("updating", old)
            try:
                deadline = new.custom_timeouts.get("update", 0)
                with work.busy:
                    outputs = operations.update(old, new.inputs, preview=work.preview, new=new, deadline=deadline)
            except PartialFailure as error:
                outputs = hide_keys(error.outputs, new.additional_secret_outputs)
                # With its old inputs, as the CLI has it: so the next update tries again.
                new = replace(new, inputs=old.inputs, outputs=outputs, init_errors=error.reasons, modified=now())
                work.snapshot.done(new, old, begun=old)
                raise
            except ProviderError as error:
                if not error.unknown_outcome:
                    work.snapshot.abandon(old)
                raise
            new = replace(new, outputs=hide_keys(outputs, new.additional_secret_outputs), modified=now())
        work.snapshot.done(new, old, begun=old)
        work.observer.ended(Step("update", old, new, diff))
        return new

    def _replace(self, goal: Goal, operations: Operations | None, old: Resource, new: Resource, diff: Diff) -> Resource:
        if old.protect and new.protect:
            raise _protected(f'unable to replace resource "{new.urn}"\nas it is currently marked for protection')
        if operations is not None:
            new = replace(new, inputs=operations.check(new.urn, {}, goal.inputs))
        if old.pending_replacement:
            return self._replace_deleted(old, new, diff)
        first = diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        if not first:
            return self._replace_later(old, new, diff)
        for dependent in reversed(self._deletions.dependents(old)):
            if dependent.protect:
                raise _protected(
                    f'unable to replace resource "{dependent.urn}" as part of replacing "{old.urn}" as it is currently '
                    "marked for protection"
                )
            self._condemned[dependent.urn] = self._deletions.delete_replaced(dependent)
        return self._replace_deleted(self._deletions.delete_replaced(old), new, diff)

    def _replace_later(self, old: Resource, new: Resource, diff: Diff) -> Resource:
        """Create the replacement; the replaced resource is deleted at the operation's end."""
        new = self._create("create-replacement", new, old, diff)
        self._work.observer.ended(Step("replace", replace(old, delete=True), new, diff))
        return new

    def _replace_deleted(self, old: Resource, new: Resource, diff: Diff) -> Resource:
        """Create the replacement of a resource that is deleted already."""
        self._work.observer.ended(Step("replace", old, new, diff))
        return self._create("create-replacement", new, old, diff)


def _continued(new: Resource, old: Resource) -> Resource:
    """Return the new resource with what stays of the old one."""
    return replace(new, id=old.id, outputs=old.outputs, created=old.created, modified=old.modified, extra=old.extra)


def _stamped(new: Resource) -> Resource:
    stamp = now()
    return replace(new, created=stamp, modified=stamp)


def _protected(what: str) -> EngineError:
    return EngineError(
        f"{what}. To unprotect the resource, remove the `protect` flag from the resource in your Pulumi program and "
        "run `pulumi up`"
    )
