"""What a rule is: a name, a level, options, and a pure function from a resource to its violations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from common.part import Part
from policies.stack import Resource, Stack

__all__ = ["Level", "NoOptions", "Rule", "Violation"]


class Level(str, Enum):
    """What a violation does: nothing, a warning, or the end of the update. Nothing here remediates."""

    DISABLED = "disabled"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"


@dataclass(frozen=True)
class Violation:
    """What is wrong with a resource, what was expected, and the setting to change; no part shows a secret."""

    wrong: str
    expected: str
    fix: str

    def told(self, resource: Resource) -> str:
        """Tell it in one line, with the resource's name."""
        return f"{resource.name} ({resource.kind}) {self.wrong}; expected {self.expected}; {self.fix}"


class NoOptions(Part):
    """Nothing to configure but the level."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over the resources of a stack.

    Attributes:
        name: Its name in the policy pack and in its configuration.
        description: What it asks for, in one sentence.
        level: What a violation does where the configuration says nothing.
        check: Yields the violations of one resource. Gets the resource, its stack and the options.
        options: The model of what can be configured; it has a default for each option.
        of_whole_stack: Whether `check` looks at other resources of the stack too.
    """

    name: str
    description: str
    level: Level
    check: Callable[[Resource, Stack, Any], Iterator[Violation]]
    options: type[Part] = NoOptions
    of_whole_stack: bool = False
