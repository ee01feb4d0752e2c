"""The configuration that a project's own file has for all its stacks: values, and what a stack's own are to be."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CLI_HINT, EngineError

_FIELDS = ("type", "items", "default", "value", "description", "secret")
_KEY = re.compile(r"(?:(?P<namespace>[^:]+):(?:config:)?)?(?P<name>[^:.\[]+)")
_SIMPLE = ("string", "integer", "boolean", "object")


@dataclass(frozen=True)
class Declaration:
    """One key of the project's `config`: `types` are its type and those within it, from the outermost; none if empty.

    `value` is for the stacks that have none of their own; None where there is none.
    """

    name: str
    own: bool
    value: Any = None
    types: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True)
class ProjectConfig:
    """The `config` of a `Pulumi.yaml`, by full key `<namespace>:<name>`."""

    declarations: Mapping[str, Declaration]

    @classmethod
    def read(cls, path: Path, project: str, declared: Any) -> ProjectConfig:
        """Read the project's declarations.

        Raises:
            EngineError: The CLI would not take them.
        """
        if not isinstance(declared or {}, dict):
            raise EngineError(f"'{path}': expected 'config:' with keys below it.")
        found = {}
        for key, given in sorted((declared or {}).items(), key=lambda item: str(item[0])):
            match = _KEY.fullmatch(key) if isinstance(key, str) else None
            if match is None:
                raise EngineError(
                    f"'{path}': config: {key!r} is not a name that the embedded engine takes. Expected <name> or "
                    f"<namespace>:<name>. {CLI_HINT}"
                )
            namespace, name = match["namespace"] or project, match["name"]
            try:
                found[f"{namespace}:{name}"] = _declaration(key, namespace == project, given)
            except ValueError as error:
                raise EngineError(f"'{path}': config: '{key}' {error}.") from None
        return cls(found)

    def under(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stack's configuration with the project's values where it has none."""
        values = {key: item.value for key, item in self.declarations.items() if item.value is not None}
        return {**values, **config}

    def check(self, stack: str, config: Mapping[str, Any], secure: Collection[str]) -> None:
        """Check a stack's configuration.

        Args:
            stack: The stack's name.
            config: The configuration with the project's values: objects, and anything else as text.
            secure: The keys that are encrypted.

        Raises:
            EngineError: The configuration is not what the project declares.
        """
        absent = [item.name for key, item in self.declarations.items() if item.own and key not in config]
        if absent:
            names = " and ".join(filter(None, (", ".join(f"'{name}'" for name in absent[:-1]), f"'{absent[-1]}'")))
            values = "value" if len(absent) == 1 else "values"
            raise EngineError(
                f"validating stack config: Stack '{stack}' is missing configuration {values} {names}; 'config set' "
                "sets what is missing"
            )
        for key, item in self.declarations.items():
            about = f"validating stack config: Stack '{stack}' with configuration key '{item.name}' must be"
            if item.types and item.secret and key not in secure:
                raise EngineError(f"{about} encrypted as it's secret; 'config set --secret' does")
            if item.types and not _fits(config[key], item.types):
                raise EngineError(f"{about} of type '{_named(item.types)}'")


def _declaration(key: str, own: bool, given: Any) -> Declaration:
    """Raise ValueError, with what is wrong of the key."""
    if isinstance(given, (str, int, list)):
        return Declaration(key, own, given)
    if not isinstance(given, dict) or not given.keys() <= set(_FIELDS):
        raise ValueError(f"is not a text, a whole number, true, false, a list or an object of {', '.join(_FIELDS)}")
    types = _types(given) if "type" in given else ()
    value, default = given.get("value"), given.get("default")
    if value is not None and default is not None:
        raise ValueError("has both a value and a default, where there is but one: expected 'value' or 'default'")
    if not own and (types or default is not None):
        raise ValueError("is not the project's own, and has a type or a default: expected 'value' alone")
    if types and default is not None and not _fits(default, types):
        raise ValueError(f"has a default that is not of its type '{_named(types)}'")
    return Declaration(key, own, default if value is None else value, types, given.get("secret") is True)


def _types(given: Any) -> tuple[str, ...]:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind in _SIMPLE:
        return (kind,)
    if kind != "array":
        raise ValueError(f"has the type {kind!r}; expected {', '.join(_SIMPLE)} or array")
    if "items" not in given:
        raise ValueError("is an array of what is not said: expected 'items' with a 'type'")
    return (kind, *_types(given["items"]))


def _named(types: tuple[str, ...]) -> str:
    return "<".join(types) + ">" * (len(types) - 1)


def _fits(value: Any, types: tuple[str, ...]) -> bool:
    """Tell whether the value is of the type. A number and a truth may be written as text."""
    kind, *within = types
    if kind == "array":
        return isinstance(value, list) and all(_fits(item, tuple(within)) for item in value)
    if kind == "object":
        return isinstance(value, dict)
    if kind == "integer":
        return type(value) is int or (isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+", value) is not None)
    if kind == "boolean":
        return isinstance(value, bool) or value in ("true", "false")
    return isinstance(value, str)
