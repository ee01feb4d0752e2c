"""Read a stack's file, `stacks/Pulumi.<stack>.yaml`, without Pulumi and as Pulumi reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from common import pulumi_yaml
from settings.errors import Mistake, SettingsError, UnknownStackError

__all__ = ["StackFile", "file_of", "project_name", "read"]


@dataclass(frozen=True)
class StackFile:
    """The project's settings in a stack's file.

    Attributes:
        values: The settings by name, without the encrypted settings. Inside a group, `ENCRYPTED` takes their place.
        encrypted: The paths of the encrypted settings.
    """

    values: dict[str, Any]
    encrypted: frozenset[str]


ENCRYPTED = "(encrypted)"


def read(project: Path, stack: str) -> StackFile:
    """Read a stack's file.

    Args:
        project: The folder of `Pulumi.yaml`, whose name a key may leave out.
        stack: The stack's name.

    Raises:
        SettingsError: The file does not have the form of a stack's file.
        UnknownStackError: The stack has no file; the text names the stacks that have one.
    """
    file = project / file_of(stack)
    if not file.is_file():
        stacks = ", ".join(sorted(p.name[len("Pulumi.") : -len(".yaml")] for p in file.parent.glob("Pulumi.*.yaml")))
        raise UnknownStackError(f"stack '{stack}' has no file {file_of(stack)}; the stacks are: {stacks}")
    namespace = f"{project_name(project)}:"
    values: dict[str, Any] = {}
    encrypted: set[str] = set()
    for key, value in _config(file, stack).items():
        if not isinstance(key, str):
            raise _mistaken(stack, f"expected a name for each setting under 'config', found {key!r}")
        if ":" in key and not key.startswith(namespace):
            continue  # another project's or a provider's
        name = key.removeprefix(namespace)
        encrypted |= {f"{name}{path}" for path in _encrypted(value)}
        if not _is_encrypted(value):
            values[name] = "" if value is None else _without_encrypted(value)
    return StackFile(values, frozenset(encrypted))


def project_name(project: Path) -> str:
    """Read the name of the project in `Pulumi.yaml`."""
    return str(pulumi_yaml.load((project / "Pulumi.yaml").read_text())["name"])


def file_of(stack: str) -> str:
    """Name a stack's file, relative to the project."""
    return f"stacks/Pulumi.{stack}.yaml"


def _config(file: Path, stack: str) -> dict[Any, Any]:
    try:
        content = pulumi_yaml.load(file.read_text(encoding="utf-8")) or {}
    except UnicodeDecodeError as error:
        raise _mistaken(stack, f"is no UTF-8 text (byte {error.start})") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a scalar that is not of its tag
        raise _mistaken(stack, f"is no YAML: {_in_one_line(error)}") from None
    config = content.get("config") or {} if isinstance(content, dict) else None
    if not isinstance(config, dict):
        raise _mistaken(stack, "expected 'config:' with a name and a value for each setting below it")
    return config


def _mistaken(stack: str, what: str) -> SettingsError:
    return SettingsError(file_of(stack), [Mistake(path="the file", expected=what)])


def _in_one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def _is_encrypted(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["secure"] and isinstance(value["secure"], str)


def _encrypted(value: Any, path: str = "") -> Iterator[str]:
    if _is_encrypted(value):
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _encrypted(item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _encrypted(item, f"{path}[{index}]")


def _without_encrypted(value: Any) -> Any:
    if _is_encrypted(value):
        return ENCRYPTED
    if isinstance(value, dict):
        return {name: _without_encrypted(item) for name, item in value.items()}
    return [_without_encrypted(item) for item in value] if isinstance(value, list) else value
