"""A recorded call of gRPC's `ModelInfer`, as the HTTP request that asks the same: the same tensors of the same model.

The message is read here, by Protocol Buffers' wire format, because an environment need not have a library for it. See
`grpc_service.proto` of Triton, and its HTTP protocol's "binary tensor data" extension.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from serving.proving.plan import Request
from serving.triton.tensors import pack

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Value = int | bytes


class MessageError(ValueError):
    """A message that is no `ModelInferRequest`; the text says why."""


def request(message: bytes, name: str) -> Request:
    """Make the HTTP request of a message.

    Args:
        message: A `ModelInferRequest`.
        name: The request's id in reports.

    Raises:
        MessageError: It is no such message, or an input of it has no data.
    """
    try:
        return _request(message, name)
    except (IndexError, KeyError, OverflowError, TypeError, UnicodeDecodeError, struct.error) as error:
        raise MessageError(f"{type(error).__name__}: {error}") from None


def _request(message: bytes, name: str) -> Request:
    model = version = ""
    head: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    inputs: list[tuple[dict[str, Any], bytes | None]] = []
    outputs: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for number, value in _fields(message):
        if number == 1:
            model = _text(value)
        elif number == 2:
            version = _text(value)
        elif number == 3 and value:
            head["id"] = _text(value)
        elif number == 4:
            parameters |= _parameter(value)
        elif number == 5:
            inputs.append(_input(value))
        elif number == 6:
            outputs.append(_output(value))
        elif number == 7:
            raw.append(_part(value))
    data = raw or [content for _, content in inputs if content is not None]
    if not model or len(data) != len(inputs):
        raise MessageError("it names no model, or an input has no data")
    for (tensor, _), content in zip(inputs, data, strict=True):
        tensor["parameters"] = {**tensor.get("parameters", {}), "binary_data_size": len(content)}
    head |= {"inputs": [tensor for tensor, _ in inputs]}
    if outputs:
        head["outputs"] = outputs
    else:
        parameters["binary_data_output"] = True
    written = json.dumps({**head, **({"parameters": parameters} if parameters else {})}).encode()
    at_version = f"/versions/{quote(version, safe='')}" if version else ""
    return Request(
        id=name,
        to="triton",
        path=f"/v2/models/{quote(model, safe='')}{at_version}/infer",
        body=b"".join([written, *data]),
        content_type="application/octet-stream",
        head_bytes=len(written),
        recorded=b"",
    )


def _input(value: _Value) -> tuple[dict[str, Any], bytes | None]:
    """Read an `InferInputTensor`: what is said of it, and its data where they are not among the raw ones."""
    tensor: dict[str, Any] = {"name": "", "datatype": "", "shape": []}
    contents: bytes | None = None
    for number, part in _fields(_part(value)):
        if number == 1:
            tensor["name"] = _text(part)
        elif number == 2:
            tensor["datatype"] = _text(part)
        elif number == 3:
            tensor["shape"] += map(_signed, _numbers(part))
        elif number == 4:
            tensor["parameters"] = {**tensor.get("parameters", {}), **_parameter(part)}
        elif number == 5:
            contents = _part(part)
    return tensor, None if contents is None else _packed(tensor["datatype"], contents)


def _output(value: _Value) -> dict[str, Any]:
    """Read an `InferRequestedOutputTensor`; gRPC's answers are binary."""
    output: dict[str, Any] = {"name": "", "parameters": {"binary_data": True}}
    for number, part in _fields(_part(value)):
        if number == 1:
            output["name"] = _text(part)
        elif number == 2:
            output["parameters"] |= _parameter(part)
    return output


def _parameter(value: _Value) -> dict[str, Any]:
    """Read an entry of a map of `InferParameter`."""
    name, found = "", None
    for number, part in _fields(_part(value)):
        if number == 1:
            name = _text(part)
        elif number == 2:
            for kind, given in _fields(_part(part)):
                found = _PARAMETERS[kind](given)
    return {name: found}


def _packed(datatype: str, contents: bytes) -> bytes:
    """Write an `InferTensorContents` as a tensor's binary data."""
    values: list[Any] = []
    for number, part in _fields(contents):
        if number == 8:
            values.append(_part(part))
        elif number in _UNPACKED:
            code, size = _UNPACKED[number]
            numbers = [part] if isinstance(part, bytes) and len(part) == size else _parts(_part(part), size)
            values += [struct.unpack(code, one)[0] for one in numbers]
        else:
            values += map(_READ[number], _numbers(part))
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    return pack(datatype, values)


def _fields(message: bytes) -> Iterator[tuple[int, _Value]]:
    """Yield the fields of a message: their numbers, and their values as integers or bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise MessageError(f"wire type {kind}")
        if position + size > len(message):
            raise MessageError("it ends within a field")
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 70:
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    raise MessageError("a number without an end")


def _numbers(value: _Value) -> Iterator[int]:
    """Yield the numbers of a repeated field, packed or single."""
    if isinstance(value, int):
        yield value
        return
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        yield number


def _parts(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _same(number: int) -> int:
    return number


def _part(value: _Value) -> bytes:
    if isinstance(value, int):
        raise MessageError("a number where a part is expected")
    return value


def _text(value: _Value) -> str:
    return _part(value).decode()


_READ: dict[int, Callable[[int], Any]] = {1: bool, 2: _signed, 3: _signed, 4: _same, 5: _same}
_UNPACKED = {6: ("<f", 4), 7: ("<d", 8)}
_PARAMETERS: dict[int, Callable[[Any], Any]] = {
    1: bool,
    2: _signed,
    3: _text,
    4: lambda content: struct.unpack("<d", content)[0],
    5: _same,
}
