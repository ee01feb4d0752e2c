"""Public doors limit the requests of a second: without a limit one caller can take all there is."""

from collections.abc import Iterator

from policies import objects, properties
from policies.rule import Level, NoOptions, Rule, Violation
from policies.stack import Resource, Stack

__all__ = ["RULE"]


def _check(resource: Resource, stack: Stack, options: NoOptions) -> Iterator[Violation]:
    filters = objects.door_filters(resource)
    if properties.is_front_door(resource):
        unlimited = properties.is_public(resource) and not properties.limits_requests(resource)
    elif filters is not None and objects.RATE_LIMIT_FILTER not in filters:
        unlimited = any(objects.instance(way) == objects.instance(resource) for way in objects.ways_in(stack))
    else:
        return
    if unlimited:
        yield Violation(
            wrong="takes as many requests as clients from outside send",
            expected="a limit: one caller could take all there is",
            fix=f"set deployment.maxRequestsPerSecond in {stack.file}",
        )


RULE = Rule(
    name="requests-limited",
    description="Public doors limit the requests of a second.",
    level=Level.ADVISORY,
    check=_check,
    of_whole_stack=True,
)
