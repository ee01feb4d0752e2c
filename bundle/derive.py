"""A golden inference derived from an ONNX model: ONNX Runtime's CPU provider on seeded random input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bundle.golden import NOT_IN_JSON
from bundle.model import ANY_SIZE, Golden, Model, Tensor
from bundle.session import LoadError, load_session

SEED = 20201
SIZES = (1, 2, 4, 16, 64, 224)
"""Sizes tried for dimensions that vary, the smallest first: an image model may refuse an image of one pixel."""

MOST_VALUES = 400_000
"""Above this number of values a golden inference is a burden: it is sent whenever a replica is probed."""

RELATIVE = 1e-3
"""GPUs compute with fewer digits (TF32) than the CPU that the expected values come from."""

_TYPES = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP32": np.float32,
    "FP64": np.float64,
}


class NotDerivable(ValueError):
    """No golden inference can be derived for a model; the message says why, in words that end no sentence."""


def derive(path: Path, model: Model) -> Golden:
    """Derives a golden inference for the ONNX model in a file.

    The input is the same for the same interface: floats from 0 to 1 with three decimals, integers 0 and 1, dimensions
    that vary as small as the model takes them. The tolerance allows for a GPU's arithmetic: relative 1e-3, absolute
    1e-3 of the largest value.

    Raises:
        NotDerivable: inputs are not numeric or have no JSON form, the model takes no random input, or its outputs are
            not finite or not the same twice.
    """
    for tensor in (*model.inputs, *model.outputs):
        if tensor.datatype in NOT_IN_JSON:
            raise NotDerivable(f"'{tensor.name}' is {tensor.datatype}, which Triton takes as binary data only")
    for tensor in model.inputs:
        if tensor.datatype not in _TYPES:
            raise NotDerivable(f"the input '{tensor.name}' is {tensor.datatype}, not numeric")
    try:
        session = load_session(path)
    except LoadError as error:
        raise NotDerivable(f"ONNX Runtime does not load it: {error}") from None
    wanted = list(model.outputs)
    reason = "it has no inputs"
    for size in SIZES:
        shapes = [_sized(tensor, size, batched=model.max_batch_size > 0) for tensor in model.inputs]
        if sum(math.prod(shape) for shape in shapes) > MOST_VALUES:
            reason = f"its input has more than {MOST_VALUES} values"
            break
        try:
            return _infer(session, model, shapes, wanted)
        except _Refused as error:
            reason = str(error)
    raise NotDerivable(reason)


class _Refused(Exception):
    """The model does not take an input."""


def _sized(tensor: Tensor, size: int, *, batched: bool) -> tuple[int, ...]:
    sizes = [size if dim == ANY_SIZE else dim for dim in tensor.shape]
    if batched and sizes:
        sizes[0] = 1
    return tuple(sizes)


def _infer(
    session: onnxruntime.InferenceSession, model: Model, shapes: Sequence[tuple[int, ...]], wanted: Sequence[Tensor]
) -> Golden:
    random = np.random.default_rng(SEED)
    arrays = {
        tensor.name: _random(random, tensor.datatype, shape) for tensor, shape in zip(model.inputs, shapes, strict=True)
    }
    ranks = {value.name: value.shape for value in session.get_inputs()}
    feed = {name: array.reshape(()) if ranks.get(name) == [] else array for name, array in arrays.items()}
    names = [tensor.name for tensor in wanted]
    try:
        first, second = (session.run(names, feed) for _ in range(2))
    except Exception as error:
        raise _Refused(f"it does not take random input: {_first_line(error)}") from None
    results = [np.atleast_1d(np.asarray(result)) for result in first]
    _require_steady(names, results, [np.atleast_1d(np.asarray(result)) for result in second])
    return Golden(
        request={"inputs": [_to_json(t.name, t.datatype, arrays[t.name]) for t in model.inputs]},
        response={"outputs": [_to_json(t.name, t.datatype, result) for t, result in zip(wanted, results, strict=True)]},
        relative=RELATIVE,
        absolute=_absolute(results),
    )


def _random(random: np.random.Generator, datatype: str, shape: tuple[int, ...]) -> Any:
    kind = np.dtype(_TYPES[datatype])
    if kind.kind == "f":
        return random.random(shape).round(3).astype(kind)
    return random.integers(0, 2, shape).astype(kind)


def _require_steady(names: Sequence[str], first: Sequence[Any], second: Sequence[Any]) -> None:
    if sum(result.size for result in first) > MOST_VALUES:
        raise NotDerivable(f"its output has more than {MOST_VALUES} values")
    for name, one, other in zip(names, first, second, strict=True):
        if one.dtype.kind == "f" and not np.isfinite(one).all():
            raise _Refused(f"its output '{name}' is not finite on random input")
        if one.size == 0:
            raise _Refused(f"its output '{name}' is empty on random input")
        if not np.array_equal(one, other):
            raise NotDerivable(f"its output '{name}' is not the same twice")


def _absolute(results: Sequence[Any]) -> float:
    largest = [float(np.abs(result).max()) for result in results if result.dtype.kind == "f"]
    return max(RELATIVE * min(filter(None, largest), default=0.0), Golden.absolute)


def _to_json(name: str, datatype: str, array: Any) -> dict[str, Any]:
    data: list[Any] = array.reshape(-1).tolist()
    if datatype == "FP32":
        # The shortest decimals that give the same single-precision number.
        data = [float(str(value)) for value in array.reshape(-1)]
    elif datatype == "BYTES":
        data = [value.decode() if isinstance(value, bytes) else str(value) for value in data]
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
