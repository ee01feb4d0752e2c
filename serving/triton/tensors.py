"""Triton's HTTP protocol for tensors: JSON, and behind it binary data for the types that JSON cannot carry.

Golden inferences hold plain numbers for every type. Triton refuses FP16 and BF16 as JSON numbers, in requests and in
answers. So `encode` sends them, and asks for them, as binary data; `decode` reads them back as numbers.

This module needs nothing but the standard library.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

BINARY_ONLY = frozenset({"FP16", "BF16"})
"""The types that Triton's HTTP protocol takes as binary data only."""

LENGTH_HEADER = "Inference-Header-Content-Length"
"""The header that says how many bytes of a body are JSON; binary tensors follow, in their order."""

_FORMATS = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def needs_binary(tensors: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether any of the tensors has no JSON form in Triton's HTTP protocol."""
    return any(tensor.get("datatype") in BINARY_ONLY for tensor in tensors)


def encode(golden: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]] = ()) -> tuple[dict[str, str], bytes]:
    """Write a golden inference's request.

    Args:
        golden: the golden inference.
        outputs: the outputs that the model declares.

    Returns:
        The headers and the body.
    """
    request = dict(golden["request"])
    expected = {output["name"]: output for output in golden["response"]["outputs"]}
    if "outputs" not in request and needs_binary([*outputs, *expected.values()]):
        # Otherwise Triton would send all outputs as JSON, and refuse.
        request["outputs"] = [{"name": name} for name in expected]
    if "outputs" in request:
        request["outputs"] = [_asked(output, expected.get(output["name"], {})) for output in request["outputs"]]
    binary: list[bytes] = []
    request["inputs"] = [_given(tensor, binary) for tensor in request["inputs"]]
    head = json.dumps(request).encode()
    if not binary:
        return {"Content-Type": "application/json"}, head
    return {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}, b"".join([head, *binary])


def _asked(output: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    if not needs_binary([expected]):
        return dict(output)
    return {**output, "parameters": {**output.get("parameters", {}), "binary_data": True}}


def _given(tensor: Mapping[str, Any], binary: list[bytes]) -> dict[str, Any]:
    if not needs_binary([tensor]):
        return dict(tensor)
    data = pack(tensor["datatype"], list(flat(tensor["data"])))
    binary.append(data)
    without = {key: value for key, value in tensor.items() if key != "data"}
    return {**without, "parameters": {**tensor.get("parameters", {}), "binary_data_size": len(data)}}


def decode(headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """Read the answer to an inference request.

    Returns:
        The outputs; each has its `data` as a list.

    Raises:
        ValueError: the body is no such answer.
    """
    try:
        return _outputs(headers, body)
    except (AttributeError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"no tensors: {error!r}") from None


def _outputs(headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    length = next((int(value) for name, value in headers.items() if name.lower() == LENGTH_HEADER.lower()), len(body))
    head = json.loads(body[:length])
    outputs = head.get("outputs") if isinstance(head, dict) else None
    if not isinstance(outputs, list) or not all(isinstance(output, dict) and "name" in output for output in outputs):
        raise ValueError("no list of outputs")
    position = length
    for output in outputs:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is not None:
            output["data"] = unpack(output["datatype"], body[position : position + size])
            position += size
    return outputs


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    """Write numbers as a tensor's binary data, little-endian.

    Raises:
        OverflowError: a value is too large for the type.
    """
    if datatype != "BF16":
        return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)
    # The upper half of a single-precision number, rounded to the nearest, ties to even.
    wide = array("I", struct.pack(f"={len(values)}f", *values))
    return struct.pack(f"<{len(wide)}H", *((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 & 0xFFFF for bits in wide))


def unpack(datatype: str, data: bytes) -> list[Any]:
    """Read the values from a tensor's binary data."""
    if datatype == "BYTES":
        return list(_texts(data))
    if datatype == "BF16":
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        wide = array("I", (bits << 16 for bits in halves))
        return list(struct.unpack(f"={len(wide)}f", wide.tobytes()))
    code = _FORMATS[datatype]
    return list(struct.unpack(f"<{len(data) // struct.calcsize('<' + code)}{code}", data))


def _texts(data: bytes) -> Iterator[str]:
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        position += 4 + length
        yield data[position - length : position].decode("utf-8", "replace")


def flat(data: Any) -> Iterator[Any]:
    """Yield the values of a tensor's `data`, which may be nested row by row."""
    if isinstance(data, list):
        for item in data:
            yield from flat(item)
    else:
        yield data
