"""The rules' configuration: the file that Pulumi's CLI takes as `--policy-pack-config`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.errors import UserError
from common.part import Part
from policies.rule import Level, Rule
from policies.rules.every_rule import RULES

__all__ = ["Configured", "PolicyError", "configured", "read"]

_ALL = "all"
_LEVEL = "enforcementLevel"


class PolicyError(UserError):
    """The policies cannot be checked: their configuration or the preview is not what was expected."""


@dataclass(frozen=True)
class Configured:
    """A rule with its level and its options."""

    rule: Rule
    level: Level
    options: Part


def read(file: Path | None) -> list[Configured]:
    """Read the configuration; without a file every rule has its defaults.

    Raises:
        PolicyError: The file cannot be read, or has a mistake.
    """
    if file is None:
        return configured({})
    try:
        given = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise PolicyError(f"{file}: expected a JSON file with a level or an object for each rule: {error}") from None
    return configured(given, called=str(file))


def configured(given: Mapping[str, Any], *, called: str = "the policies' configuration") -> list[Configured]:
    """Give every rule that is not disabled, with its level and its options.

    Args:
        given: A level, or an object with `enforcementLevel` and options, by the rules' names; `all` is a level for all.
        called: How people know the configuration.

    Raises:
        PolicyError: A rule, a level or an option is unknown or has a wrong value.
    """
    names = [_ALL, *(rule.name for rule in RULES)]
    if not isinstance(given, Mapping):
        raise PolicyError(f"{called}: expected an object with a level or an object for each rule: {', '.join(names)}")
    for name in given:
        if name not in names:
            raise PolicyError(f"{called}: {name!r} is no rule; expected one of {', '.join(names)}")
    for_all = _split(_ALL, given.get(_ALL, {}), called)[0]
    found = []
    for rule in RULES:
        level, options = _split(rule.name, given.get(rule.name, {}), called)
        try:
            made = rule.options.model_validate(options)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(map(str, (rule.name, *first["loc"])))
            known = ", ".join(info.alias or name for name, info in rule.options.model_fields.items()) or "none"
            raise PolicyError(f"{called}: {path}: {first['msg']}; its options: {known}") from None
        found.append(Configured(rule, level or for_all or rule.level, made))
    return [each for each in found if each.level is not Level.DISABLED]


def _split(name: str, value: Any, called: str) -> tuple[Level | None, dict[str, Any]]:
    """Split what is given for a rule into its level and its options."""
    options = dict(value) if isinstance(value, Mapping) else {_LEVEL: value}
    level = options.pop(_LEVEL, None)
    try:
        return (None if level is None else Level(level)), options
    except ValueError:
        expected = ", ".join(each.value for each in Level)
        raise PolicyError(f"{called}: {name} has the level {level!r}; expected one of {expected}") from None
