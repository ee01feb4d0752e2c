"""Mistakes of form (unknown and missing keys, types, ranges), in words for the person who writes a stack's file."""

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from settings.azure_names import AZURE_NAMES
from settings.errors import Mistake, SettingsError
from settings.group import Group, types_in
from settings.schema import Settings

__all__ = ["Location", "checked_form", "location_of", "mistakes_of_form", "nearest_setting"]

G = TypeVar("G", bound=Group)

Location = Sequence[int | str]

_KEY = re.compile(".+key", re.IGNORECASE)

_CLIENT_KEYS = {"key", "keys", "primarykey", "secondarykey"}

_WORDS = {
    "missing": "is required",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "string_too_short": "expected text that is not empty",
    "string_pattern_mismatch": "expected text that matches {pattern}",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of names to values",
    "too_short": "expected at least {min_length} in the list",
    "greater_than": "expected a number above {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected a number below {lt:g}",
    "less_than_equal": "expected at most {le:g}",
    "enum": "expected {expected}",
    "literal_error": "expected {expected}",
}


def checked_form(group: type[G], values: Mapping[str, Any], *, subject: str, project: Path) -> G:
    """Check the form of one group, whose settings have their names in the stack's file or in Python.

    Args:
        group: The group.
        values: Its settings by name.
        subject: What has the settings, as messages name it.
        project: The folder at which relative paths start.

    Raises:
        SettingsError: The settings have mistakes of form.
    """
    try:
        return group.model_validate(dict(values), context=project, by_alias=True, by_name=True)
    except ValidationError as error:
        raise SettingsError(subject, mistakes_of_form(error, (), group)) from None


def mistakes_of_form(error: ValidationError, secret: Collection[str], root: type[Group] = Settings) -> list[Mistake]:
    """Translate what pydantic found into mistakes, one each.

    Args:
        error: pydantic's error over a stack's settings.
        secret: The paths of the settings that the stack's file encrypts. No mistake shows their values, nor the
            value of a setting that looks like a key.
        root: The group that the error is over.
    """
    return [_mistake(detail, secret, root) for detail in error.errors()]


def location_of(detail: ErrorDetails) -> list[int | str]:
    """Give the steps to a mistake as its writer sees them.

    Args:
        detail: One of pydantic's errors over a stack's settings.
    """
    location = [part for part in detail["loc"] if part != "[key]"]  # said of a mapping's bad key
    if location[0] == "models":
        del location[2:3]  # the union's tag: `models[0].folder.path` is `models[0].path` to its writer
    return location


def _mistake(detail: ErrorDetails, secret: Collection[str], root: type[Group]) -> Mistake:
    location, kind = location_of(detail), detail["type"]
    path = _path(location)
    if kind == "missing":
        return Mistake(path=path, expected=_WORDS[kind])
    nearest = nearest_setting(location, root) if kind == "extra_forbidden" else ""
    encrypted = {re.split(r"[.\[]", path)[0] for path in secret}
    looks_like_key = any(_KEY.fullmatch(name) for name in (str(location[-1]), nearest))
    hidden = str(location[0]) in encrypted or looks_like_key or _is_client_key(location, root)
    value = "(secret)" if hidden else _shown(detail["input"])
    if kind == "extra_forbidden":
        hint = _hint(location, nearest, root)
        return Mistake(path=path, value=value, expected=f"there is no such setting; {hint}")
    if kind == "model_type":
        return Mistake(path=path, value=value, expected=f"expected a group of {', '.join(_names(location, root))}")
    if kind in _WORDS:
        expected = _WORDS[kind].format(**detail.get("ctx", {}))
    else:
        expected = f"expected {detail['msg'].removeprefix('Value error, ')}"
    return Mistake(path=path, value=value, expected=expected)


def _hint(location: Location, nearest: str, root: type[Group]) -> str:
    """Say what may be meant by a name that there is not."""
    *place, name = location
    plain = _plain(str(name))
    if _is_client_key(location, root):
        return "a client's keys are made, and in the output clientKeys; keyRotation has them made anew"
    azure = {_plain(known): known for known in AZURE_NAMES}.get(plain)
    if azure and not nearest:
        return f"in place of Azure's {azure} there is {AZURE_NAMES[azure]}"
    if not nearest:
        return f"the settings here are {', '.join(_names(place, root))}"
    if not place or "." in nearest:
        return f"did you mean '{nearest}'?"
    # Without its place, the name would be the one that was given.
    if nearest == name:
        return f"{nearest} stands by itself, in no group"
    return f"did you mean '{nearest}', by itself, in no group?"


def _is_client_key(location: Location, root: type[Group]) -> bool:
    return root is Settings and location[0] == "clients" and _plain(str(location[-1])) in _CLIENT_KEYS


def _path(location: Location) -> str:
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step if step.isprintable() else repr(step)}" for step in location
    )
    return "".join(steps).removeprefix(".")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest_setting(location: Location, root: type[Group]) -> str:
    """Find the setting that the writer may have meant: the name in another style or place, or a similar name.

    Args:
        location: The steps to a setting that there is not.
        root: The group at which they start.

    Returns:
        The path of the setting, with `[]` for any place in a list; "" where none is near.
    """
    *place, name = location
    here = {_plain(alias): _path([*place, alias]) for alias in _names(place, root)}
    outer_last = sorted(_paths(root), key=lambda path: path.count("."), reverse=True)
    there = {_plain(path.rpartition(".")[2]): path for path in outer_last}
    plain = _plain(str(name))
    for known in (here, there):
        if plain in known:
            return known[plain]
    if plain in map(_plain, AZURE_NAMES):
        return ""
    close = difflib.get_close_matches(plain, here, n=1, cutoff=0.6)
    return here[close[0]] if close else ""


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _names(location: Location, root: type[Group]) -> list[str]:
    """List the settings of the group at `location`."""
    group: type[Group] | None = root
    for part in location:
        if isinstance(part, str) and group is not None:
            fields = {str(field.alias): field.annotation for field in group.model_fields.values()}
            group = next(_groups_in(fields.get(part)), None)
    return [str(field.alias) for field in group.model_fields.values()] if group is not None else []


def _paths(group: type[Group], prefix: str = "") -> Iterator[str]:
    """Yield the path of every setting."""
    for field in group.model_fields.values():
        path = f"{prefix}{field.alias}"
        for inner in _groups_in(field.annotation):
            in_list = "[]" if list in types_in(field.annotation) else ""
            yield from _paths(inner, f"{path}{in_list}.")
        yield path


def _groups_in(annotation: Any) -> Iterator[type[Group]]:
    return (found for found in types_in(annotation) if issubclass(found, Group))
