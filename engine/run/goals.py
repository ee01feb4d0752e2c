"""What a program wants (goals), what an operation does about it (steps), and who is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from engine.errors import EngineError
from engine.state.checkpoint import Resource
from engine.state.diff import NO_DIFF, Diff
from engine.state.values import Properties


@dataclass(frozen=True)
class Alias:
    """A name that a resource may have had: a whole URN, or what differed from the present one."""

    urn: str = ""
    name: str = ""
    type: str = ""
    parent: str | None = None
    """The parent's URN, "" for none, and None for the present one."""


@dataclass(frozen=True)
class Goal:
    """A resource as the program wants it."""

    type: str
    name: str
    custom: bool
    inputs: Properties
    parent: str = ""
    provider: str = ""
    protect: bool = False
    dependencies: tuple[str, ...] = ()
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    retain_on_delete: bool = False
    deleted_with: str = ""


class Registers(Protocol):
    """Who carries out registrations."""

    def register(self, goal: Goal) -> Resource:
        """Make the resource what the program wants it to be."""


@dataclass(frozen=True)
class Step:
    """One step of an operation, in Pulumi's terms: `op` is `create`, `update`, `replace`, `delete-replaced`, ..."""

    op: str
    old: Resource | None
    new: Resource | None
    diff: Diff = NO_DIFF

    @property
    def resource(self) -> Resource:
        """The resource after the step, or before it where it is gone."""
        resource = self.new or self.old
        assert resource is not None
        return resource


class Observer(Protocol):
    """Who is told of the steps."""

    def started(self, step: Step) -> None:
        """Hear that the step is under way."""

    def ended(self, step: Step) -> None:
        """Hear that the step has ended well."""

    def failed(self, step: Step, error: EngineError) -> None:
        """Hear that the step has failed."""

    def outputs(self, old: Resource, new: Resource) -> None:
        """Hear of a component's outputs, or the stack's."""

    def log(self, severity: str, message: str, urn: str = "") -> None:
        """Hear a message: `severity` is `info`, `warning` or `error`."""

    def status(self, message: str, urn: str) -> None:
        """Hear a message that passes."""


class Reporter(Observer, Protocol):
    """Who is told all of an operation."""

    def line(self, text: str) -> None:
        """Hear a line that the program or a provider printed."""

    def begin(self, title: str, *, preview: bool) -> None:
        """Hear that an operation begins."""

    def end(self) -> Counter[str]:
        """Hear that the operation is over. Return the number of resources by operation."""
