"""A stack's resources as rules see them, whichever engine previewed them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Mark", "Resource", "Stack", "at", "marked"]

_UNKNOWN = frozenset(
    {  # what stands for a value that an update finds out: one text for each type of value
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_HIDDEN = "[secret]"


class Mark(Enum):
    """What stands in place of a value: an update finds it out, or the preview hides it."""

    UNKNOWN = "unknown"
    HIDDEN = "hidden"


@dataclass(frozen=True)
class Resource:
    """A resource with its inputs."""

    urn: str
    type: str
    props: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.urn.rpartition("::")[2]

    @property
    def kind(self) -> str:
        """The last part of its type, such as `Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def types(self) -> list[str]:
        """The types of the components that it is part of, outermost first, and its own."""
        return self.urn.split("::")[2].split("$")


@dataclass(frozen=True)
class Stack:
    """A stack with its resources; `tags` are Pulumi Cloud's, other backends have none."""

    name: str
    resources: Sequence[Resource] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The file with the stack's settings, as people name it."""
        return f"stacks/Pulumi.{self.name}.yaml"

    def of_type(self, *types: str) -> Iterator[Resource]:
        """Yield the resources of these types."""
        return (resource for resource in self.resources if resource.type in types)


def at(tree: Any, *path: str) -> Any:
    """Give what is at a path of properties: None where nothing is, a `Mark` where nobody knows."""
    for name in path:
        if isinstance(tree, Mark):
            return tree
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(name)
    return tree


def marked(value: Any) -> Any:
    """Put marks in the place of the texts that stand for unknown and hidden values in Pulumi's JSON."""
    if isinstance(value, str):
        return Mark.UNKNOWN if value in _UNKNOWN else Mark.HIDDEN if value == _HIDDEN else value
    if isinstance(value, Mapping):
        return {name: marked(item) for name, item in value.items()}
    return [marked(item) for item in value] if isinstance(value, list) else value
