"""Reading a stack's settings: from Pulumi's configuration, or from the stack's file where no Pulumi runs."""

import copy
import difflib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from settings.errors import Mistake, SettingsError
from settings.rules import broken_rules
from settings.schema import Settings

__all__ = ["load", "read_stack_file"]

# What pydantic calls an error and what a person should read; the rest is pydantic's own words.
_WORDS = {
    "missing": "is required",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of names to values",
    "model_type": "expected a group of settings",
}


def load(values: Mapping[str, Any], *, stack: str, project: Path, secret: Collection[str] = ()) -> Settings:
    """Check a stack's settings and give them typed.

    `values` maps the settings' names, without the project's namespace, to plain values; `secret` names those that the
    stack's file encrypts. `project` is the folder at which relative paths start. Raises `SettingsError` with every
    mistake found: of form (types, ranges, unknown keys) and, once the form is right, of substance (`settings.rules`).
    """
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as error:
        mistakes = [_mistake(detail, secret) for detail in error.errors()]
        rest = _without(values, error.errors())
        if rest is not None:
            mistakes += broken_rules(rest, project=project, secret=secret)
        raise SettingsError(stack, mistakes) from None
    broken = broken_rules(settings, project=project, secret=secret)
    if broken:
        raise SettingsError(stack, broken)
    return settings


def _without(values: Mapping[str, Any], errors: list[ErrorDetails]) -> Settings | None:
    """Give what is left without the settings that have no valid form, so that the rules can judge the rest."""
    rest = copy.deepcopy(dict(values))
    for error in sorted(errors, key=lambda e: [str(part) for part in _location(e)], reverse=True):
        group: Any = rest
        *way, last = _location(error)
        for part in way:
            group = group[part]
        if error["type"] == "missing" or isinstance(group, list):
            return None
        group.pop(last, None)
    try:
        return Settings.model_validate(rest)
    except ValidationError:
        return None


def _location(detail: ErrorDetails) -> list[Any]:
    # A tagged union puts its tag into the location: `models[0].folder.path` is `models[0].path` to its reader.
    return [part for part in detail["loc"] if part not in ("folder", "registered")]


def read_stack_file(project: Path, stack: str) -> Settings:
    """Read `stacks/Pulumi.<stack>.yaml` without Pulumi; encrypted settings are left out.

    Raises `SettingsError` as `load` does, and `FileNotFoundError` with the stacks that there are.
    """
    file = project / "stacks" / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        stacks = ", ".join(sorted(p.name[len("Pulumi.") : -len(".yaml")] for p in file.parent.glob("Pulumi.*.yaml")))
        raise FileNotFoundError(f"stack '{stack}' has no file stacks/Pulumi.{stack}.yaml; the stacks are: {stacks}")
    namespace = yaml.safe_load((project / "Pulumi.yaml").read_text())["name"] + ":"
    config = yaml.safe_load(file.read_text()).get("config") or {}
    values = {key.removeprefix(namespace): value for key, value in config.items() if key.startswith(namespace)}
    encrypted = [key for key, value in values.items() if isinstance(value, dict) and set(value) == {"secure"}]
    return load({k: v for k, v in values.items() if k not in encrypted}, stack=stack, project=project, secret=encrypted)


def _mistake(detail: ErrorDetails, secret: Collection[str]) -> Mistake:
    location = _location(detail)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    hidden = not location or location[0] in secret or str(location[0]).endswith("Key")
    value = "(secret)" if hidden else _shown(detail["input"])
    if detail["type"] == "extra_forbidden":
        return Mistake(path=path, expected=f"is not a setting{_nearest(location)}")
    if detail["type"] == "missing":
        return Mistake(path=path, expected=_WORDS["missing"])
    words = _WORDS.get(detail["type"])
    if words is None:
        text = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        words = f"expected {text}"
    return Mistake(path=path, value=value, expected=words)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _nearest(location: list[int | str]) -> str:
    group: type[BaseModel] | None = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            group = _group_under(group, part)
    if group is None:
        return ""
    names = [field.alias or name for name, field in group.model_fields.items()]
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; the settings here are {', '.join(names)}"


def _group_under(group: type[BaseModel] | None, alias: str) -> type[BaseModel] | None:
    """Find the group that the setting `alias` of `group` holds, through lists, options and unions."""
    if group is None:
        return None
    pending = [field.annotation for name, field in group.model_fields.items() if alias in (name, field.alias)]
    while pending:
        annotation = pending.pop(0)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        pending.extend(getattr(annotation, "__args__", ()))
    return None
