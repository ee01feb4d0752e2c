"""The resources of the project: things, whose provider is in the folder `provider`, and groups of them."""

from typing import Any

import pulumi


class Thing(pulumi.CustomResource):
    """A thing; see the provider for its properties."""

    echo: pulumi.Output[Any]
    size: pulumi.Output[int]

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__("test:index:Thing", name, {"echo": None, "size": None, "name": name, **props}, opts)


class Group(pulumi.ComponentResource):
    """A component with a thing for each name in `members`."""

    def __init__(self, name: str, members: dict[str, dict[str, Any]], opts: pulumi.ResourceOptions) -> None:
        super().__init__("test:index:Group", name, None, opts)
        self.things = {
            member: Thing(f"{name}-{member}", props, pulumi.ResourceOptions(parent=self))
            for member, props in members.items()
        }
        self.register_outputs({member: thing.echo for member, thing in self.things.items()})
