"""The provider of the package `pulumi` itself, which reads other stacks' outputs (`StackReference`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from engine.errors import CLI_HINT, EngineError
from engine.providers.provider import ReadResult
from engine.state.backend import Stack
from engine.state.checkpoint import Resource, State, urn_type
from engine.state.diff import Diff
from engine.state.values import Properties, Secret, has

STACK_REFERENCE = "pulumi:pulumi:StackReference"


class Builtin:
    """Reads stacks of the same backend. `find` gives a stack's place by its name, `load` its state."""

    def __init__(self, find: Callable[[str], Stack], load: Callable[[Stack], State]) -> None:
        self._find = find
        self._load = load

    def read(self, urn: str, id_: str, inputs: Properties, outputs: Properties, deadline: float = 0) -> ReadResult:
        """Read the outputs of the stack that a reference names."""
        if urn_type(urn) != STACK_REFERENCE:
            self._refuse(urn)
        name = inputs.get("name")
        if not isinstance(name, str):
            raise EngineError("A StackReference needs the name of a stack, known before the update.")
        stack = self._find(name)
        if not stack.exists():
            raise EngineError(f"unknown stack {name!r}: it is not in the backend '{stack.backend.url}'")
        values = self._load(stack).outputs()
        secret = sorted(key for key, value in values.items() if has(value, Secret))
        return ReadResult(id_, {"name": name, "outputs": values, "secretOutputNames": secret}, inputs)

    def _refuse(self, urn: str) -> NoReturn:
        raise EngineError(f"The embedded engine does not know the resource type '{urn_type(urn)}'. {CLI_HINT}")

    def check(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Refuse: only a stack reference is built in, and a program reads it."""
        self._refuse(urn)

    def diff(self, old: Resource, new: Properties, ignore_changes: tuple[str, ...] = ()) -> Diff:
        """Refuse, as `check` does."""
        self._refuse(old.urn)

    def create(self, urn: str, inputs: Properties, *, preview: bool, deadline: float = 0) -> tuple[str, Properties]:
        """Refuse, as `check` does."""
        self._refuse(urn)

    def update(
        self, old: Resource, inputs: Properties, *, preview: bool, new: Resource, deadline: float = 0
    ) -> Properties:
        """Refuse, as `check` does."""
        self._refuse(old.urn)

    def delete(self, resource: Resource, deadline: float = 0) -> None:
        """Do nothing: a reference is not an object."""
