"""A route names the listener of its Gateway: without a name it attaches to the one for plain HTTP too."""

from collections.abc import Iterator

from policies import objects
from policies.rule import Level, NoOptions, Rule, Violation
from policies.stack import Resource, Stack, at

__all__ = ["RULE"]


def _check(resource: Resource, stack: Stack, options: NoOptions) -> Iterator[Violation]:
    if resource.type != objects.ROUTE or not objects.is_ours(resource):
        return
    parents = at(resource.props, "spec", "parentRefs")
    for parent in parents if isinstance(parents, list) else ():
        if at(parent, "sectionName") is None:
            yield Violation(
                wrong=f"attaches to every listener of the Gateway '{at(parent, 'name')}', one for plain HTTP too",
                expected="the name of the listener that speaks TLS",
                fix=f"set nodePool.exposure.gateway.sectionName in {stack.file}",
            )


RULE = Rule(
    name="gateway-listener-named",
    description="Routes name the Gateway's listener that speaks TLS.",
    level=Level.ADVISORY,
    check=_check,
)
