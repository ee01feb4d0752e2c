"""Random tensors of all of Triton's types, and their values in JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WORDS = ("the", "red", "fox", "reads", "an", "old", "book", "at", "home", "today")

_TYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": np.float32,  # numpy lacks the type; float32 holds its numbers exactly
    "BYTES": np.object_,
}


def random_values(random: np.random.Generator, datatype: str, shape: tuple[int, ...], *, words: bool = True) -> Array:
    """Make a random tensor: floats from 0 to 1 with three decimals, integers 0 and 1, words, or the digits 0 and 1.

    Args:
        random: The source of random numbers.
        datatype: The protocol's name of the type.
        shape: The tensor's shape.
        words: Whether texts are words; otherwise they are digits.
    """
    kind = np.dtype(_TYPES[datatype])
    if datatype == "BYTES":
        chosen = random.integers(0, len(WORDS) if words else 2, shape)
        return np.array([WORDS[i] if words else str(i) for i in np.ravel(chosen)], dtype=kind).reshape(shape)
    if datatype == "BF16":
        return np.asarray(random.integers(0, 129, shape) / 128).astype(kind)
    if kind.kind == "f":
        return np.asarray(random.random(shape)).round(3).astype(kind)
    return np.asarray(random.integers(0, 2, shape)).astype(kind)


def to_json(name: str, datatype: str, array: Array) -> dict[str, Any]:
    """Write a tensor in the JSON of Triton's HTTP protocol."""
    data: list[Any] = array.reshape(-1).tolist()
    if datatype == "FP32":
        # The shortest decimals that mean the same single-precision number.
        data = [float(str(value)) for value in array.reshape(-1)]
    elif datatype == "BYTES":
        data = [value.decode() if isinstance(value, bytes) else str(value) for value in data]
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}
