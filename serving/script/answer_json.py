"""Writes the value that run() returned as JSON.

orjson writes most answers, and is fast. It refuses values that the standard library's `json.dumps` takes: integers
beyond 64 bits, half characters, keys that are no strings, deep nesting. It would also write some values in another form
than the values beside them. So there are three ways; each takes over where the one before refuses, and a value comes
out the same by each of them:

    orjson      with `_plain_value` for types that it does not know
    json        the same, for integers, keys and depths beyond orjson
    `_plain`    then json: for NaN, which becomes null, and for keys that are dates, numpy's numbers and so on
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import sys
import uuid
from typing import Any

import orjson

# orjson would look inside subclasses of dict, which may hold other values than they show (Werkzeug's MultiDict has a
# list for each key). It leaves out some attributes of dataclasses, and the seconds of a time zone.
_OPTIONS = (
    orjson.OPT_SERIALIZE_NUMPY
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_DATES = (datetime.date, datetime.time)  # a datetime is a date
_NUMBERS = "biuf"  # the kinds of numpy's types that orjson writes


def to_json(value: Any) -> bytes:
    """Write the value that run() returned as JSON; None becomes an empty object.

    Raises:
        TypeError: the value holds a type that JSON cannot.
    """
    if value is None:
        return b"{}"
    try:
        return orjson.dumps(value, default=_plain_value, option=_OPTIONS)
    except TypeError:
        pass
    try:
        return json.dumps(value, default=_plain_value, allow_nan=False).encode()
    except (TypeError, ValueError):
        return json.dumps(_plain(value), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """Turn a value into the types that JSON has."""
    if value is None or isinstance(value, bool):
        return value
    # The types' own methods, as in json: an Enum's str() is its name.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return _plain(_plain_value(value))


def _plain_value(value: Any) -> Any:
    """Turn a value of a type that JSON does not have into a type that it has, or into a container of values."""
    # orjson leaves all subclasses of these types to us.
    if isinstance(value, dict):
        return dict(value.items())
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (str, int, float)):
        return _plain(value)
    if isinstance(value, _DATES):
        return _date(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _numpy_value(value, numpy)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _date(value: Any) -> str | None:
    """Write a date in ISO 8601. pandas' missing date, NaT, differs from itself, and becomes null."""
    return value.isoformat() if value == value else None


def _numpy_value(value: Any, numpy: Any) -> Any:
    if value.dtype.kind == "M":
        return [_plain_value(item) for item in value] if value.ndim else _numpy_date(value[()], numpy)
    if value.dtype.kind not in _NUMBERS or isinstance(value, numpy.ma.MaskedArray):
        return value.tolist()
    # orjson writes numbers of 32 bits as short as they are, and NaN as null.
    dtype = "float64" if value.dtype.itemsize > 8 else value.dtype.newbyteorder("=")
    array = numpy.ascontiguousarray(value, dtype)
    return orjson.loads(orjson.dumps(array if value.ndim else array[0], option=_OPTIONS))


def _numpy_date(value: Any, numpy: Any) -> str | None:
    if numpy.isnat(value):
        return None
    try:
        return orjson.loads(orjson.dumps(value, option=_OPTIONS))  # type: ignore[no-any-return]
    except TypeError:  # before the year 0, or after 9999
        return str(value)


def _key(key: Any) -> str | int | float | bool | None:
    """Turn a key into a type that json writes as a string: a string, a number, a boolean or None."""
    if isinstance(key, float):
        return float.__float__(key) if math.isfinite(key) else json.dumps(float.__float__(key))
    if key is None or isinstance(key, (str, int)):
        return key
    if isinstance(key, _DATES):
        return str(_date(key) or key)
    if isinstance(key, uuid.UUID):
        return str(key)
    if isinstance(key, enum.Enum):
        return _key(key.value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(key, numpy.generic):
        plain = _numpy_value(key, numpy)
        return _key(str(key) if plain is None else plain)
    raise TypeError(f"keys of an object must be strings or numbers, not {type(key).__name__}")
