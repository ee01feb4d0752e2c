"""A stack in production takes over nothing that another stack has."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from pydantic import Field

from common.part import Part
from policies import properties
from policies.rule import Level, Rule, Violation
from policies.stack import Resource, Stack

__all__ = ["RULE", "Options"]


class Options(Part):
    """What marks a stack as one in production."""

    stacks: list[str] = Field(
        default=["prod", "prod-*", "*-prod", "production", "production-*", "*-production"],
        description="patterns of the names of stacks in production",
    )
    tags: dict[str, str] = Field(
        default={"environment": "production"}, description="stack tags (Pulumi Cloud), each of which marks one too"
    )


def _check(resource: Resource, stack: Stack, options: Options) -> Iterator[Violation]:
    named = any(fnmatchcase(stack.name, pattern) for pattern in options.stacks)
    tagged = any(stack.tags.get(name) == value for name, value in options.tags.items())
    if (named or tagged) and properties.overwrites(resource):
        yield Violation(
            wrong=f"would take over what another stack has, and the stack '{stack.name}' is marked as production",
            expected="that an update there fails where another stack has a service of this name",
            fix=f"set deployment.overwrite: false in {stack.file}",
        )


RULE = Rule(
    name="no-overwrite-in-production",
    description="Stacks in production take over nothing that another stack has.",
    level=Level.MANDATORY,
    check=_check,
    options=Options,
)
