"""The limits of the ONNX backend of target `process`, which NVIDIA's backend on the other targets does not have.

The backend has this file too, by the link `targets/process/backends/onnxruntime/backend_limits.py`, so that preview and
backend say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["INDEPENDENT_ROWS", "SERVED_TYPES", "TRUE", "unserved"]

# With this parameter a model's author vouches that requests may share a run, where the graph does not prove it.
INDEPENDENT_ROWS = "independent_rows"
TRUE = ("1", "true")

# ONNX Runtime's types of tensors, and the configuration's types.
SERVED_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}


def unserved(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each setting that the backend lacks; `config` is Triton's `ModelConfig` as JSON."""
    elsewhere = "not on target process; choose docker or node-pool, or remove it"
    if config.get("sequence_batching", {}).get("state"):
        yield f"sequence_batching.state (implicit state) is {elsewhere}"
    for field in ("batch_input", "batch_output"):
        if config.get(field):
            yield f"{field} is {elsewhere}"
    ragged = [tensor["name"] for tensor in config.get("input", ()) if tensor.get("allow_ragged_batch")]
    if ragged:
        yield f"allow_ragged_batch of {', '.join(ragged)} is {elsewhere}"
    for kind in ("input", "output"):
        for tensor in config.get(kind, ()):
            if tensor.get("data_type") == "TYPE_BF16":
                yield f"{kind} '{tensor['name']}': data_type TYPE_BF16 is {elsewhere}, or cast it in the graph"
