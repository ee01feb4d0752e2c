"""The part of a stack's settings that has a valid form, so that rules can judge it beside the mistakes of form."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from settings.form_mistakes import Location, location_of, nearest_setting
from settings.group import Group
from settings.schema import Settings
from settings.unreadable import field_of, hide, hollow, inner_group

__all__ = ["readable_part"]

_GONE = object()


def readable_part(
    values: Mapping[str, Any], error: ValidationError, project: Path, *, python_names: bool = False
) -> Settings | None:
    """Give the settings without those that have no valid form: reading one of these raises an error.

    A group that lacks what it must have is there, and has no settings; so is such a member of a list. A registered
    model stands in for a model without a valid form.

    Args:
        values: The settings as the stack's file has them.
        error: pydantic's error over them.
        project: The folder at which relative paths start.
        python_names: Take settings by their names in Python too.

    Returns:
        The settings that remain; None where even they have no valid form.
    """
    rest = copy.deepcopy(dict(values))
    hidden: list[Location] = []
    meant: list[Location] = []  # what has a default alone because its name is wrong
    hollows: dict[tuple[int | str, ...], type[Group]] = {}
    for detail in error.errors():
        location = location_of(detail)
        if location[0] == "models" and not _is_optional_of_model(location, detail["type"]):
            _stand_in(rest, location)
            continue
        if detail["type"] == "extra_forbidden":
            meant.append(_steps(nearest_setting(location, Settings)))
            _set(rest, location, _GONE)
            continue
        unit, group = _unit(location)
        _set(rest, unit, _GONE)
        if group is None:
            hidden.append(unit)
        else:
            hollows[tuple(unit)] = group
    try:
        settings = Settings.model_validate(_without_gone(rest), context=project, by_alias=True, by_name=python_names)
    except ValidationError:
        return None
    for group_place, kind in sorted(hollows.items(), key=lambda item: (len(item[0]), str(item[0][:-1]), item[0][-1])):
        _put(settings, group_place, hollow(kind))
    for place in hidden:
        hide(settings, place)
    for place in filter(None, meant):
        hide(settings, place, default_alone=True)
    return settings


def _unit(location: Location) -> tuple[Location, type[Group] | None]:
    """Find what must go for a mistake at `location`.

    Returns:
        The place of a setting that may be left out, and None; or the place of a group that lacks what it must have, and
        its type.
    """
    group: type[Group] = Settings
    around: tuple[Location, type[Group] | None] = ((), None)  # the outermost group of those that must go together
    for index, step in enumerate(location):
        if isinstance(step, int):
            continue
        name = field_of(group, step)
        place: Location = location[: index + 1]
        required = bool(name) and group.model_fields[name].is_required()
        if not required:
            around = (place, None)
        inner = inner_group(group, name) if name else None
        following = location[index + 1 : index + 2]
        in_list = bool(following) and isinstance(following[0], int)
        if inner is None or not following:
            return around
        if in_list:
            place = location[: index + 2]
        if in_list or not required:
            around = (place, inner)
        group = inner
    return around


def _is_optional_of_model(location: Location, kind: str) -> bool:
    if len(location) < 3 or kind == "missing":
        return False
    model = inner_group(Settings, "models")
    name = field_of(model, location[2]) if model else ""
    return kind == "extra_forbidden" if not name or model is None else not model.model_fields[name].is_required()


def _stand_in(rest: dict[str, Any], location: Location) -> None:
    """Put a registered model in the place of one that has no valid form, or of all."""
    _set(rest, location[:2], ["unreadable:1"] if len(location) == 1 else f"unreadable-{location[1]}:1")


def _set(tree: Any, location: Location, value: object) -> None:
    """Set what lies at `location`; do nothing where the way there is gone already, for another mistake."""
    *way, last = location
    for step in way:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return
    has_place = isinstance(tree, list) and isinstance(last, int) and last < len(tree)
    if isinstance(tree, dict) or has_place:
        tree[last] = value


def _without_gone(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _without_gone(value) for name, value in tree.items() if value is not _GONE}
    return [_without_gone(value) for value in tree if value is not _GONE] if isinstance(tree, list) else tree


def _put(settings: Settings, place: Sequence[int | str], group: Group) -> None:
    """Put a group into the tree; do nothing where the group around it is not there."""
    *way, last = place
    tree: Any = settings
    for step in way:
        if isinstance(tree, Group):
            tree = tree.__dict__.get(field_of(type(tree), step))
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return
    if isinstance(tree, list) and isinstance(last, int):
        tree.insert(last, group)
    elif isinstance(tree, Group):
        tree.__dict__[field_of(type(tree), last)] = group


def _steps(path: str) -> Location:
    """Read a setting's path; nothing where it leads into every member of a list."""
    if "[]" in path:
        return []
    return [int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)]
