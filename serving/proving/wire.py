"""Dataclasses as JSON, both ways: how a plan and a verdict travel between a target and the prover.

Names are in camel case, bytes in Base64. A reader refuses keys that it does not know, and values of another type.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


class FormError(ValueError):
    """A text that has another form than the dataclass; it says where, on one line."""


def write(part: Any) -> str:
    """Write a dataclass on one line."""
    return json.dumps(_plain(part))


def read(kind: type[_T], text: str) -> _T:
    """Read a dataclass.

    Raises:
        FormError: The text is no JSON, a key is unknown or missing, or a value has another type.
    """
    name = kind.__name__.lower()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormError(f"the {name} is no JSON: {error}") from None
    found: _T = _value(kind, given, name)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {_camel(part.name): _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _value(kind: Any, given: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if given is None else _value(arguments[0], given, where)
    if is_dataclass(kind):
        return _part(kind, given, where)
    if origin in (list, tuple):
        if not isinstance(given, list):
            raise FormError(f"{where} is {type(given).__name__}; expected a list")
        return origin(_value(arguments[0], one, f"{where}[{index}]") for index, one in enumerate(given))
    if kind is bytes:
        try:
            return base64.b64decode(given, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise FormError(f"{where} is no Base64") from None
    if origin is Literal:
        if given not in arguments:
            raise FormError(f"{where} is {given!r}; expected one of {', '.join(map(str, arguments))}")
        return given
    if not isinstance(given, int | float if kind is float else kind) or (isinstance(given, bool) and kind is not bool):
        raise FormError(f"{where} is {type(given).__name__}; expected {kind.__name__}")
    return given


def _part(kind: Any, given: Any, where: str) -> Any:
    if not isinstance(given, Mapping):
        raise FormError(f"{where} is {type(given).__name__}; expected an object")
    known = {_camel(part.name): part for part in fields(kind)}
    if unknown := sorted(set(given) - set(known)):
        raise FormError(f"{where} has the unknown key {', '.join(unknown)}; expected {', '.join(known)}")
    required = [key for key, part in known.items() if part.default is MISSING and part.default_factory is MISSING]
    if missing := [key for key in required if key not in given]:
        raise FormError(f"{where} lacks {', '.join(missing)}")
    types = get_type_hints(kind)
    return kind(
        **{known[key].name: _value(types[known[key].name], one, f"{where}.{key}") for key, one in given.items()}
    )


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
