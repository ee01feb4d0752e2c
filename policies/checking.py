"""Check a stack against the configured rules."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policies.configuration import Configured
from policies.rule import Level
from policies.stack import Resource, Stack

__all__ = ["Finding", "check"]


@dataclass(frozen=True)
class Finding:
    """A violation as people are told it."""

    rule: str
    level: Level
    resource: Resource
    message: str


def check(stack: Stack, configuration: Iterable[Configured]) -> Iterator[Finding]:
    """Yield the violations of every resource, rule by rule."""
    for each in configuration:
        for resource in stack.resources:
            for violation in each.rule.check(resource, stack, each.options):
                yield Finding(each.rule.name, each.level, resource, violation.told(resource))
