"""A service with a public door outlives one pod, of Envoy's and of Triton's."""

from collections.abc import Iterator

from pydantic import Field

from common.part import Part
from policies import objects
from policies.rule import Level, Rule, Violation
from policies.stack import Resource, Stack

__all__ = ["RULE", "Options"]


class Options(Part):
    """How many pods there are at least."""

    least: int = Field(default=2, ge=1, description="the pods that there are at least")


def _check(resource: Resource, stack: Stack, options: Options) -> Iterator[Violation]:
    if resource.type != objects.DEPLOYMENT or not objects.is_ours(resource):
        return
    if not any(objects.instance(way) == objects.instance(resource) for way in objects.ways_in(stack)):
        return
    count = objects.replicas(resource, stack)
    if count is not None and count < options.least:
        setting = (
            "nodePool.frontDoor.numReplicas"
            if objects.is_door(resource)
            else "nodePool.numReplicas, or nodePool.autoscale.minReplicas where it scales,"
        )
        yield Violation(
            wrong=f"may have {count} pod{'' if count == 1 else 's'} behind a public door",
            expected=f"at least {options.least}: with its node the service would be gone",
            fix=f"set {setting} in {stack.file}",
        )


RULE = Rule(
    name="second-replica",
    description="A service with a public door has a second replica.",
    level=Level.MANDATORY,
    check=_check,
    options=Options,
    of_whole_stack=True,
)
