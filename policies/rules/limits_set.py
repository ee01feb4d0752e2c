"""Containers have limits of CPU and memory, so that a service cannot take its node."""

from collections.abc import Iterator

from pydantic import Field

from common.part import Part
from policies import objects
from policies.rule import Level, Rule, Violation
from policies.stack import Mark, Resource, Stack, at

__all__ = ["RULE", "Options"]


class Options(Part):
    """What is limited."""

    limited: list[str] = Field(default=["cpu", "memory"], description="the resources that every container limits")


def _check(resource: Resource, stack: Stack, options: Options) -> Iterator[Violation]:
    of_door = objects.is_door(resource)
    for container in objects.containers(resource):
        missing = [name for name in options.limited if at(container.limits, name) is None]
        if isinstance(container.limits, Mark) or not missing:
            continue
        settings = (
            "nodePool.frontDoor.cpuCores and nodePool.frontDoor.memoryMb"
            if of_door
            else "deployment.cpuCores and deployment.memoryGb, or nodePool.cpuCoresLimit and nodePool.memoryGbLimit,"
        )
        yield Violation(
            wrong=f"runs the container '{container.name}' without a limit of {' and '.join(missing)}",
            expected=f"limits of {' and '.join(options.limited)}: it could take all that its node has",
            fix=f"set {settings} in {stack.file}",
        )


RULE = Rule(
    name="limits-set",
    description="Containers have limits of CPU and memory.",
    level=Level.MANDATORY,
    check=_check,
    options=Options,
)
