"""Settings that have no valid form: the tree lacks them, and whoever reads one gets an error.

A rule that reads such a setting cannot judge: a default in its place would make the rule tell mistakes that the writer
did not make.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from settings.group import Group, types_in

__all__ = ["field_of", "hide", "hollow", "inner_group", "is_unreadable"]

G = TypeVar("G", bound=Group)


def hide(tree: Group, location: Sequence[int | str], *, default_alone: bool = False) -> None:
    """Take a setting out of the tree; do nothing where its group is not there.

    Args:
        tree: The settings.
        location: The steps to the setting, by its names and its places in lists.
        default_alone: Leave a setting that was given.
    """
    *way, last = location
    group: Any = tree
    for step in way:
        if isinstance(group, Group):
            name = field_of(type(group), step)
            group = group.__dict__.get(name) if name else None
        elif isinstance(group, list) and isinstance(step, int) and step < len(group):
            group = group[step]
        else:
            return
    name = field_of(type(group), last) if isinstance(group, Group) else ""
    if name and not (default_alone and name in group.model_fields_set):
        group.__dict__.pop(name, None)


def hollow(group: type[G]) -> G:
    """Make a group that has none of its settings."""
    made = group.model_construct()
    made.__dict__.clear()
    return made


def is_unreadable(error: AttributeError) -> bool:
    """Tell whether an error says that a setting was read that has no valid form."""
    return isinstance(error.obj, Group) and error.name in type(error.obj).model_fields


def field_of(group: type[Group], step: int | str) -> str:
    """Find a group's field by its name in the stack's file or in Python; "" where there is none."""
    return next((name for name, field in group.model_fields.items() if step in (field.alias, name)), "")


def inner_group(group: type[Group], name: str) -> type[Group] | None:
    """Find the group that a field holds, alone or in a list; None where it holds none."""
    found = types_in(group.model_fields[name].annotation)
    return next((kind for kind in found if issubclass(kind, Group)), None)
