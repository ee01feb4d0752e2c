"""Run ONNX Runtime with BF16 tensors: numpy lacks the type, so ONNX Runtime takes and gives no arrays of it.

Outside a run the numbers are float32; a BF16 number is the upper half of a float32.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnxruntime
from onnx import TensorProto

from bundle.random_tensors import Array

BFLOAT16 = "tensor(bfloat16)"
"""ONNX Runtime's name of the type."""


def run_halves(
    session: onnxruntime.InferenceSession, names: Sequence[str], feeds: Mapping[str, Array], halves: Collection[str]
) -> list[Array]:
    """Run a model whose inputs or outputs are BF16.

    Args:
        session: The loaded model.
        names: The outputs to return.
        feeds: The inputs by name.
        halves: The names of BF16 inputs and outputs.

    Returns:
        The outputs, BF16 as float32.
    """
    values = {
        name: _half(array) if name in halves else onnxruntime.OrtValue.ortvalue_from_numpy(array)
        for name, array in feeds.items()
    }
    results = session.run_with_ort_values(list(names), values)
    return [_wide(result) if result.data_type() == BFLOAT16 else result.numpy() for result in results]


def _half(array: Array) -> onnxruntime.OrtValue:
    bits = (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16).reshape(array.shape)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, TensorProto.BFLOAT16)


def _wide(value: onnxruntime.OrtValue) -> Array:
    shape = tuple(value.shape())
    if 0 in shape:
        return np.zeros(shape, np.float32)
    bits = np.array((ctypes.c_uint16 * math.prod(shape)).from_address(value.data_ptr()), np.uint32)
    return (bits << 16).view(np.float32).reshape(shape)
