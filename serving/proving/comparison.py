"""Whether two answers to one request are alike: numbers within a tolerance, text equal, JSON by its structure.

A text that is JSON itself, as `return json.dumps(...)` makes it, is compared as JSON: the step `json()` of a path leads
into it. Of Triton's answers the floats of tensors may differ within the tolerance; everything else must be equal.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from serving.probing.golden_check import FLOATS
from serving.proving.client import Answer
from serving.proving.json_path import AS_JSON, JsonPath, Step, written
from serving.triton.tensors import LENGTH_HEADER, decode

_MOST = 50  # differences of one answer that are looked at
_CHARACTERS = 40
_ABSENT = object()
_FLOATS = tuple(FLOATS)


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


def differences(
    old: Answer, new: Answer, tolerance: float, ignore: Sequence[JsonPath] = (), *, of_triton: bool = False
) -> list[Differing]:
    """Compare two answers.

    Args:
        old: The answer of the generation that serves.
        new: The answer of the one that is judged.
        tolerance: By which numbers may differ: absolutely, or as a share of the larger one.
        ignore: What is not compared, where the answers are JSON.
        of_triton: Whether Triton answers, with tensors.

    Returns:
        Where they differ; nothing where they are alike.
    """
    if old.status != new.status:
        return [Differing(("status",), old.status, new.status, math.inf, of_payload=False)]
    if old.body == new.body:
        return []
    found: list[Differing] = []
    try:
        values = _value(old), _value(new)
        for differing in _of_triton(*values, tolerance) if of_triton else _compared((), *values, tolerance):
            if not any(path.covers(differing.place) for path in ignore):
                found.append(differing)
                if len(found) == _MOST:
                    break
    except (ValueError, RecursionError):  # no JSON, or too deep
        sizes = f"{len(old.body)} bytes", f"{len(new.body)} other bytes"
        return [Differing(("body",), *sizes, math.inf, of_payload=False)]
    return found


def _value(answer: Answer) -> Any:
    """Read an answer that is JSON, or JSON with Triton's binary tensors behind it.

    Raises:
        ValueError: It is neither.
    """
    if answer.head_bytes is None:
        return json.loads(answer.body)
    outputs = decode({LENGTH_HEADER: str(answer.head_bytes)}, answer.body)
    for output in outputs:
        if output.get("parameters", {}).pop("binary_data_size", None) is not None and not output["parameters"]:
            del output["parameters"]
    return {**json.loads(answer.body[: answer.head_bytes]), "outputs": outputs}


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
            value = json.loads(value) if step == AS_JSON and isinstance(value, str) else value[step]
        except (KeyError, IndexError, TypeError, ValueError, RecursionError):
            return _ABSENT
    return value


def is_close(old: Any, new: Any, tolerance: float) -> bool:
    """Tell whether two values that are no containers are alike."""
    if is_number(old) and is_number(new):
        if not tolerance and isinstance(old, int) and isinstance(new, int):
            return old == new
        if max(abs(old), abs(new)) > sys.float_info.max:
            return bool(old == new)
        if math.isnan(old) or math.isnan(new):
            return math.isnan(old) and math.isnan(new)
        return bool(old == new) or math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance)
    return type(old) is type(new) and bool(old == new)


def _of_triton(old: Any, new: Any, tolerance: float) -> Iterator[Differing]:
    for found in _compared((), old, new, 0.0):
        may_differ = AS_JSON in found.place or (_is_float(found.place, old) and _is_float(found.place, new))
        if not (may_differ and is_close(found.old, found.new, tolerance)):
            yield found


def _is_float(place: tuple[Step, ...], answer: Any) -> bool:
    """Tell whether a place is in the data of a tensor of floats."""
    return (
        len(place) > 2
        and (place[0], place[2]) == ("outputs", "data")
        and at(answer, (*place[:2], "datatype")) in _FLOATS
    )


def _compared(place: tuple[Step, ...], old: Any, new: Any, tolerance: float) -> Iterator[Differing]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _compared((*place, name), old.get(name, _ABSENT), new.get(name, _ABSENT), tolerance)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else _ABSENT
            after = new[index] if index < len(new) else _ABSENT
            yield from _compared((*place, index), before, after, tolerance)
    elif inside := _inside(old, new, is_whole=not place):
        yield from _compared((*place, AS_JSON), *inside, tolerance)
    elif not is_close(old, new, tolerance):
        yield Differing(place, old, new, _size(old, new))


def _inside(old: Any, new: Any, *, is_whole: bool) -> tuple[Any, Any] | None:
    """Read two texts that are objects or lists of JSON, or of which the whole answer is a number with a fraction.

    Another text that looks like a number may be a name, as of an account: it must be equal.
    """
    if not (isinstance(old, str) and isinstance(new, str)) or old == new:
        return None
    try:
        values = json.loads(old), json.loads(new)
    except (ValueError, RecursionError):
        return None
    are_numbers = is_whole and all(map(is_number, values)) and any(isinstance(value, float) for value in values)
    return values if are_numbers or all(isinstance(value, dict | list) for value in values) else None


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
