"""Read and check a model's golden inference, `triton/<model>/golden.json`.

The model's author commits it, computed outside Triton:

    {"request": <body of POST /v2/models/<model>/infer>,
     "response": {"outputs": [{"name", "datatype", "shape", "data"}, ...]},
     "tolerance": {"relative": 1e-4, "absolute": 1e-5}}

`tolerance` may be left out. Data are the JSON lists of Triton's HTTP protocol, flat or nested, row by row. FP16 and
BF16 are written as lists too, although they are sent as binary data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundle.bundle_types import ANY_SIZE, Golden, Model, Tensor
from bundle.problems import listed, nearest

GOLDEN_FILE = "golden.json"
_CHARACTERS = 3
"""The least length of a derived value in JSON, such as `0, `."""
_KEYS = ("request", "response", "tolerance")
_LARGEST = {"FP16": 65504.0, "FP32": 3.4028235677973366e38, "BF16": 3.3961775292304957e38}
_INTEGERS = {name: bits for bits in (8, 16, 32, 64) for name in (f"INT{bits}", f"UINT{bits}")}


class GoldenFileError(ValueError):
    """A golden inference does not fit its model; `problems` has one line for each mistake."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load(path: Path, model: Model, shown: str) -> Golden:
    """Load a `golden.json` and check it against the model's inputs and outputs.

    Args:
        path: The file.
        model: The model.
        shown: The path that errors name.

    Raises:
        GoldenFileError: The file is no JSON, or does not fit the model; all problems at once.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise GoldenFileError([f"{shown}: no UTF-8 text (byte {error.start}); save it as UTF-8"]) from None
    except json.JSONDecodeError as error:
        raise GoldenFileError([f"{shown}:{error.lineno}:{error.colno}: no JSON: {error.msg}"]) from None
    except ValueError as error:
        raise GoldenFileError([f"{shown}: {error}"]) from None
    problems = [f"{shown}: {problem}" for problem in _problems(document, model)]
    if problems:
        raise GoldenFileError(problems)
    tolerance = document.get("tolerance", {})
    return Golden(
        request=document["request"],
        response=document["response"],
        relative=float(tolerance.get("relative", Golden.relative)),
        absolute=float(tolerance.get("absolute", Golden.absolute)),
    )


def least_request_bytes(model: Mapping[str, Any]) -> int:
    """Return the size of the request of a model's golden inference, or a lower bound where it is not derived yet.

    Args:
        model: The model as a JSON object, see `Model.to_json`.
    """
    if model.get("golden"):
        return len(json.dumps(model["golden"]["request"]))
    given = (tensor for tensor in model.get("inputs", ()) if not tensor.get("optional"))
    return sum(math.prod(max(1, size) for size in tensor["shape"]) * _CHARACTERS for tensor in given)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number; expected finite numbers only")


def _problems(document: Any, model: Model) -> Iterator[str]:
    if not isinstance(document, dict):
        yield f"is {_kind(document)}; expected an object with {listed(_KEYS)}"
        return
    for key in document:
        if key not in _KEYS:
            yield f"'{key}' is unknown; expected {listed(_KEYS)}{nearest(key, _KEYS)}"
    request = document.get("request")
    yield from _body_problems(request, "request", "inputs", model.inputs, model)
    yield from _body_problems(document.get("response"), "response", "outputs", _as_asked(model.outputs, request), model)
    if model.sequences is not None and isinstance(request, dict):
        parameters = request.get("parameters")
        if not isinstance(parameters, dict) or not parameters.get("sequence_id"):
            yield (
                "request has no sequence_id, and the model has sequence_batching; expected "
                f'"parameters": {json.dumps(model.sequences.parameters)} in the request; add them'
            )
    tolerance = document.get("tolerance", {})
    if not isinstance(tolerance, dict):
        yield f"tolerance is {_kind(tolerance)}; expected an object with relative, absolute"
        return
    for key, value in tolerance.items():
        if key not in ("relative", "absolute"):
            yield f"tolerance.{key} is unknown; expected relative, absolute{nearest(key, ('relative', 'absolute'))}"
        elif not _is_number(value) or value < 0:
            yield f"tolerance.{key} is {json.dumps(value)}; expected a number, 0 or more"


def _as_asked(outputs: Sequence[Tensor], request: Any) -> list[Tensor]:
    """Return the outputs as the response has them: where the request asks for classes, an output is a list of texts."""
    asked = request.get("outputs") if isinstance(request, dict) else None
    classified = {
        output.get("name")
        for output in (asked if isinstance(asked, list) else ())
        if isinstance(output, dict)
        and isinstance(output.get("parameters"), dict)
        and output["parameters"].get("classification")
    }
    return [replace(tensor, datatype="BYTES", shape=()) if tensor.name in classified else tensor for tensor in outputs]


def _body_problems(body: Any, part: str, key: str, known: Sequence[Tensor], model: Model) -> Iterator[str]:
    if not isinstance(body, dict) or not isinstance(body.get(key), list) or not body[key]:
        yield f"{part}.{key} is missing; expected a list of the model's {key}; add it"
        return
    by_name = {tensor.name: tensor for tensor in known}
    given: set[str] = set()
    for position, item in enumerate(body[key]):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            yield f"{part}.{key}[{position}] has no name; expected an object with name, datatype, shape, data"
            continue
        where = f"{part}'s {key[:-1]} '{name}'"
        if name in given:
            yield f"{where} is there twice; remove one"
        given.add(name)
        if known and name not in by_name:
            yield f"{where} is none of the model's; expected {listed(by_name)}{nearest(name, by_name)}"
            continue
        yield from _tensor_problems(item, by_name.get(name), where, model.max_batch_size)
    if part == "request":
        for tensor in known:
            if not tensor.optional and tensor.name not in given:
                yield f"request lacks the input '{tensor.name}'; add it"


def _tensor_problems(item: Mapping[str, Any], tensor: Tensor | None, where: str, max_batch_size: int) -> Iterator[str]:
    datatype, shape = item.get("datatype"), item.get("shape")
    if not isinstance(datatype, str) or (tensor is not None and datatype != tensor.datatype):
        expected = tensor.datatype if tensor is not None else "a type such as FP32"
        yield f"{where} has the datatype {json.dumps(datatype)}; expected {expected}"
        return
    if not isinstance(shape, list) or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape
    ):
        yield f"{where} has the shape {json.dumps(shape)}; expected a list of whole numbers"
        return
    if tensor is not None and tensor.shape and not _fits(shape, tensor.shape):
        yield f"{where} has the shape {shape}; expected {list(tensor.shape)}, where -1 may be any size"
    elif max_batch_size > 0 and shape and shape[0] > max_batch_size:
        yield f"{where} has {shape[0]} rows; expected at most max_batch_size, {max_batch_size}"
    values = list(_flat(item.get("data")))
    if len(values) != math.prod(shape):
        yield f"{where} has {len(values)} values in data; expected {math.prod(shape)} for the shape {shape}"
    wrong = next((value for value in values if not _is_value(value, datatype)), None)
    if wrong is not None or None in values:
        yield f"{where} has the value {json.dumps(wrong)} in data; expected values of {datatype}"


def _fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    return len(shape) == len(expected) and all(
        theirs in (ours, ANY_SIZE) for ours, theirs in zip(shape, expected, strict=True)
    )


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from _flat(item)
    elif data is not None:
        yield data


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_value(value: Any, datatype: str) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool) or value in (0, 1)
    if datatype in _INTEGERS:
        bits = _INTEGERS[datatype]
        low, high = (0, 2**bits) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        return _is_number(value) and isinstance(value, int) and low <= value < high
    return _is_number(value) and abs(value) <= _LARGEST.get(datatype, math.inf)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )
