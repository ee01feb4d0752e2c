"""Whether two answers to one request are alike: numbers within a tolerance, text equal, JSON by its structure."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from serving.proving.client import Answer
from serving.proving.json_path import JsonPath, Step, written

_MOST = 50  # differences of one answer that are looked at
_CHARACTERS = 40
_ABSENT = object()


@dataclass(frozen=True)
class Differing:
    """A place at which two answers differ.

    `size` orders differences: of numbers by how far they are apart, infinite for other values.
    """

    place: tuple[Step, ...]
    old: Any
    new: Any
    size: float
    of_payload: bool = True

    @property
    def path(self) -> str:
        """The place as a path, or the part of an answer that is none of its body."""
        return written(self.place) if self.of_payload else str(self.place[0])


def differences(old: Answer, new: Answer, tolerance: float, ignore: Sequence[JsonPath] = ()) -> list[Differing]:
    """Compare two answers.

    Args:
        old: The answer of the generation that serves.
        new: The answer of the one that is judged.
        tolerance: By which numbers may differ: absolutely, or as a share of the larger one.
        ignore: What is not compared, where the answers are JSON.

    Returns:
        Where they differ; nothing where they are alike.
    """
    if old.status != new.status:
        return [Differing(("status",), old.status, new.status, math.inf, of_payload=False)]
    if old.body == new.body:
        return []
    try:
        values = json.loads(old.body), json.loads(new.body)
    except (ValueError, RecursionError):  # no JSON, or too deep
        sizes = f"{len(old.body)} bytes", f"{len(new.body)} other bytes"
        return [Differing(("body",), *sizes, math.inf, of_payload=False)]
    found = []
    for differing in _compared((), *values, tolerance):
        if not any(path.covers(differing.place) for path in ignore):
            found.append(differing)
            if len(found) == _MOST:
                break
    return found


def shown(value: Any) -> str:
    """Write a value in a few characters: containers by their kind alone."""
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}..."


def at(value: Any, place: tuple[Step, ...]) -> Any:
    """Give what is at a place of a JSON value; something that equals no JSON value where nothing is there."""
    for step in place:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return value


def is_close(old: Any, new: Any, tolerance: float) -> bool:
    """Tell whether two values that are no containers are alike."""
    if is_number(old) and is_number(new):
        if max(abs(old), abs(new)) > sys.float_info.max:
            return bool(old == new)
        if math.isnan(old) or math.isnan(new):
            return math.isnan(old) and math.isnan(new)
        return bool(old == new) or math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance)
    return type(old) is type(new) and bool(old == new)


def _compared(place: tuple[Step, ...], old: Any, new: Any, tolerance: float) -> Iterator[Differing]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _compared((*place, name), old.get(name, _ABSENT), new.get(name, _ABSENT), tolerance)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            yield from _compared((*place, index), before, after, tolerance)
    elif not is_close(old, new, tolerance):
        yield Differing(place, old, new, _size(old, new))


def _size(old: Any, new: Any) -> float:
    if not (is_number(old) and is_number(new)):
        return math.inf
    try:
        apart = float(abs(old - new))
    except OverflowError:  # an integer that no float holds
        return math.inf
    return math.inf if math.isnan(apart) else apart


def is_number(value: Any) -> bool:
    """Tell whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
