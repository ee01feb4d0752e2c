"""The text of a new stack's file: its settings, each with what a reader asks first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common import pulumi_yaml

__all__ = ["stack_text"]

_SETTINGS = {
    "serviceName": "one service of this name on a machine, engine or namespace",
    "sourceDirectory": "copied as a whole; the script's golden request lies beside it",
}
_DEPLOYMENT = {
    "target": "process, docker or node-pool: where it runs",
    "computeTargetName": "aks-gpu, eks-gpu, gke-gpu, karpenter, or a name for a pool of your own",
    "cpuCores": "on target process also the threads of a model",
    "memoryGb": "of one generation: Triton and the script's workers",
    "authEnabled": "clients send a key: make key",
    "port": "of the front door",
}
_MODEL: dict[str, str | dict[str, str]] = {
    "name": "in the registry; a changed folder becomes the next version",
    "framework": {"Multi": "Triton serves it", "Custom": "the entry script loads it"},
}
_IMAGE = {"repository": "yours: nodes pull the service's image from there"}


def stack_text(values: Mapping[str, Any], *, namespace: str, stack: str, model: str) -> str:
    """Write a stack's file.

    Args:
        values: The settings by name, as `settings.load` takes them.
        namespace: The project's name, which starts each key.
        stack: The stack's name.
        model: The model's path, as the user gave it.
    """
    head = [
        "# yaml-language-server: $schema=schema.json",
        f"# Written by: make new NAME={stack} MODEL={_printable(model)}",
        "# docs/settings.md lists every setting; an editor that knows the schema completes them.",
        "config:",
    ]
    return "\n".join([*head, *(line for name in values for line in _setting(namespace, name, values[name]))]) + "\n"


def _setting(namespace: str, name: str, value: Any) -> Iterator[str]:
    key = f"  {namespace}:{name}:"
    if name == "models":
        yield key
        for model in value:
            for number, (field, text) in enumerate(model.items()):
                yield f"    {'- ' if number == 0 else '  '}{field}: {_noted(text, _MODEL.get(field))}"
    elif isinstance(value, Mapping):
        yield key
        notes = {"deployment": _DEPLOYMENT, "image": _IMAGE}.get(name, {})
        for field, inner in value.items():
            yield f"    {field}: {_noted(inner, notes.get(field))}"
    else:
        yield f"{key} {_noted(value, _SETTINGS.get(name))}"


def _noted(value: Any, note: str | Mapping[str, str] | None) -> str:
    words = note.get(value) if isinstance(note, Mapping) else note
    return f"{_scalar(value)} # {words}" if words else _scalar(value)


def _scalar(value: Any) -> str:
    """Write a value on one line, so that Pulumi reads the same value."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_scalar(key)}: {_scalar(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str) -> str:
    plain = (
        value.isascii() and value.isprintable() and not set(value) & set(",:[]{}#&*!|>'\"%@`?\\") and value[:1] != "-"
    )
    if plain and value == value.strip() and pulumi_yaml.load(f"a: {value}") == {"a": value}:
        return value
    return "'" + value.replace("'", "''") + "'"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
