"""Every front door asks clients for a key."""

from collections.abc import Iterator

from policies import objects, properties
from policies.rule import Level, NoOptions, Rule, Violation
from policies.stack import Resource, Stack

__all__ = ["RULE"]


def _check(resource: Resource, stack: Stack, options: NoOptions) -> Iterator[Violation]:
    filters = objects.door_filters(resource)
    open_pods = filters is not None and objects.KEYS_FILTER not in filters
    if open_pods or (properties.is_front_door(resource) and not properties.asks_for_keys(resource)):
        yield Violation(
            wrong="serves whoever reaches it, without a key",
            expected="a front door that asks for one of the service's two keys",
            fix=f"set deployment.authEnabled: true in {stack.file}",
        )


RULE = Rule(name="keys-on", description="Front doors ask clients for a key.", level=Level.MANDATORY, check=_check)
