"""What differs between two declarations of a resource, by property path, as Pulumi's previews show it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pulumi.runtime.proto import provider_pb2

from provider.wire_values import UNKNOWN

__all__ = ["difference", "path_text"]

_ADD, _DELETE, _UPDATE = (
    provider_pb2.PropertyDiff.ADD,
    provider_pb2.PropertyDiff.DELETE,
    provider_pb2.PropertyDiff.UPDATE,
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_MISSING = object()


def difference(old: Any, new: Any) -> dict[str, Any]:
    """Every property that differs, by its path: added, deleted or updated. What is not known yet may differ."""
    return {path_text(path): kind for path, kind in _differing((), old, new)}


def _differing(path: tuple[str | int, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if old is _MISSING:
        yield path, _ADD
    elif new is _MISSING:
        yield path, _DELETE
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _differing((*path, name), old.get(name, _MISSING), new.get(name, _MISSING))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            pair = (items[index] if index < len(items) else _MISSING for items in (old, new))
            yield from _differing((*path, index), *pair)
    elif new is UNKNOWN or old != new:
        yield path, _UPDATE


def path_text(path: tuple[str | int, ...]) -> str:
    """A property path in Pulumi's notation: `bundles[0].name`, `variables["my.name"]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _NAME.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f"[{json.dumps(key)}]"
    return text
