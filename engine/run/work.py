"""What the parts of one operation share: the resources before and after, and who carries out their operations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.errors import Cancelled, EngineError, StateNotWritten
from engine.providers.running_providers import Operations, Registry
from engine.run.goals import Alias, Goal, Observer, Step
from engine.state.checkpoint import STACK_TYPE, Resource, make_urn, urn_name, urn_type
from engine.state.snapshot import Snapshot
from engine.state.values import Properties


class Work:
    """One operation's work on a stack's resources, by many threads. With `preview`, nothing outside is changed."""

    def __init__(
        self,
        project: str,
        stack: str,
        snapshot: Snapshot,
        registry: Registry,
        observer: Observer,
        *,
        preview: bool,
        parallel: int,
    ) -> None:
        self.snapshot = snapshot
        self.registry = registry
        self.observer = observer
        self.preview = preview
        self.busy = threading.BoundedSemaphore(parallel)
        """Held during a provider's call."""
        self.lock = threading.Lock()
        self.news: dict[str, Resource] = {}
        self.seen: set[str] = set()
        """The URNs that the program has registered, and those that aliases have taken over."""
        self.former: dict[str, str] = {}
        """The URN that a resource had in the last state, of those found by an alias."""
        self._formers: dict[str, list[str]] = {}
        """The URNs that a resource may have had, by its own."""
        self._stack_outputs: tuple[str, Properties] | None = None
        self._project = project
        self._stack = stack
        self._parallel = parallel
        self._stopped = threading.Event()
        self.reload()

    def reload(self) -> None:
        """Take the snapshot's resources for those of the last operation."""
        self.olds = {item.urn: item for item in self.snapshot.base if not item.delete}

    def stop(self) -> None:
        """Let no further step start."""
        self._stopped.set()

    def fail(self, step: Step, error: EngineError) -> None:
        """Show that the step's resource failed.

        Many meet that the state was not written: the operation shows it, once.
        """
        if isinstance(error, StateNotWritten):
            return
        error.shown = True
        self.observer.failed(step, error)

    def refuse_stopped(self) -> None:
        """Let nothing start once the operation was stopped.

        Raises:
            Cancelled: The operation was stopped.
        """
        if self._stopped.is_set():
            raise Cancelled("The operation was stopped.")

    def resource(self, urn: str) -> Resource | None:
        """Return the resource as it is now."""
        with self.lock:
            return self.news.get(urn) or self.olds.get(urn)

    def operations(self, resource: Resource) -> Operations | None:
        """Return who carries out the resource's operations; None for a component."""
        if not resource.custom:
            return None
        return self.registry if resource.is_provider else self.registry.get(resource.provider, self.provider)

    def provider(self, reference: str) -> Resource | None:
        """Return the provider under `<urn>::<id>`: as it is now, or one that is replaced and still has resources."""
        urn, _, id_ = reference.rpartition("::")
        with self.lock:
            known = [item for item in (self.news.get(urn), self.olds.get(urn)) if item is not None]
        return next((item for item in (*known, *self.snapshot.base) if (item.urn, item.id) == (urn, id_)), None)

    def claim(self, goal: Goal) -> str:
        """Return the goal's URN, and take it.

        Raises:
            EngineError: Another resource has it.
        """
        urn = make_urn(self._stack, self._project, goal.parent, goal.type, goal.name)
        with self.lock:
            if urn in self.seen:
                raise EngineError(f"Duplicate resource URN '{urn}'; try giving it a unique name")
            self.seen.add(urn)
        return urn

    def old(self, urn: str, goal: Goal) -> Resource | None:
        """Return the resource that the last operation left, under this URN or an alias."""
        with self.lock:
            formers = list(dict.fromkeys(self._former_urns(goal)))
            self._formers[urn] = formers
            if urn in self.olds:
                return self.olds[urn]
            for former in formers:
                if former in self.olds and former not in self.seen:
                    self.seen.add(former)
                    self.former[urn] = former
                    return self.olds[former]
        return None

    def _former_urns(self, goal: Goal) -> Iterable[str]:
        """Return the URNs of the goal's aliases and its parent's: a child's name begins with its parent's."""
        parents = [goal.parent, *(urn for urn in self._formers.get(goal.parent, ()) if urn != goal.parent)]
        for alias in (Alias(), *goal.aliases):
            if alias.urn:
                yield alias.urn
                continue
            for parent in parents if alias.parent is None else [alias.parent]:
                name = alias.name or goal.name
                if parent != goal.parent and goal.parent and parent and name.startswith(urn_name(goal.parent)):
                    name = urn_name(parent) + name[len(urn_name(goal.parent)) :]
                yield make_urn(self._stack, self._project, parent, alias.type or goal.type, name)

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Set the outputs of a component; the stack's own wait for `settle_outputs`."""
        with self.lock:
            if urn not in self.news:
                raise EngineError(f"Outputs were registered for '{urn}', which is not registered.")
            if urn_type(urn) == STACK_TYPE:
                self._stack_outputs = urn, outputs
                return
        self._set_outputs(urn, outputs)

    def settle_outputs(self, *, failed: bool) -> None:
        """Set the stack's outputs, when all else is done.

        A program that fails registers what it had exported until then: what is missing of it is not gone.
        """
        if self._stack_outputs is not None:
            urn, outputs = self._stack_outputs
            self._set_outputs(urn, self.news[urn].outputs | outputs if failed else outputs)

    def _set_outputs(self, urn: str, outputs: Properties) -> None:
        with self.lock:
            before = self.news[urn]
        new = replace(before, outputs=outputs)
        if outputs != before.outputs:
            self.snapshot.exchange(before, new)
            with self.lock:
                self.news[urn] = new
        self.observer.outputs(self.olds.get(urn, before), new)

    def in_parallel(self, task: Callable[[Resource], None], items: Iterable[Resource]) -> None:
        """Do the task for every item, to the end even when some fail; raise the first failure."""
        with ThreadPoolExecutor(max_workers=self._parallel) as pool:
            futures = [pool.submit(task, item) for item in items]
        for future in futures:
            future.result()
