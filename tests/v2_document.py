"""An OpenAPI document of what the front door serves: KServe's protocol, version 2, and Triton's additions to it."""

from __future__ import annotations

import math
from typing import Any

DATATYPES = ("BOOL", "UINT8", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES", "BF16")
_TEXT = {"type": "string", "maxLength": 40}
_SIZE = {"type": "integer", "minimum": -1, "maximum": 2**63}
_DATA: dict[str, Any] = {
    "type": "array",
    "maxItems": 70,
    "items": {
        "anyOf": [{"type": "number"}, {"type": "boolean"}, _TEXT, {"type": "array", "items": {"type": "number"}}]
    },
}


def _parameters(**known: dict[str, Any]) -> dict[str, Any]:
    value = {"anyOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]}
    return {"type": "object", "properties": known, "additionalProperties": value, "maxProperties": 4}


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _operation(parameters: list[dict[str, Any]], body: dict[str, Any] | None = None) -> dict[str, Any]:
    operation: dict[str, Any] = {"parameters": parameters, "responses": {"200": {"description": "the answer"}}}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def document(model: str, tensor: str, shape: list[int], outputs: list[str]) -> dict[str, Any]:
    """Describe a server that has one model with one input of 32-bit floats.

    Args:
        model: The model's name.
        tensor: Its input.
        shape: A shape that the input takes.
        outputs: Its outputs.
    """
    row = {"name": tensor, "shape": shape, "datatype": "FP32", "data": [0.5] * math.prod(shape)}
    memory = {"shared_memory_region": _TEXT, "shared_memory_byte_size": _SIZE, "shared_memory_offset": _SIZE}
    binary = {"binary_data_size": _SIZE, "binary_data": {"type": "boolean"}}
    described = _object(
        ("name", "shape", "datatype"),
        name={"enum": [tensor, "x", ""]},
        shape={"type": "array", "maxItems": 4, "items": {"anyOf": [{"enum": shape}, _SIZE]}},
        datatype={"enum": [*DATATYPES, "FP128"]},
        parameters=_parameters(**memory, **binary),
        data=_DATA,
    )
    wanted = _object(
        ("name",),
        name={"enum": [*outputs, "y"]},
        parameters=_parameters(**memory, **binary, classification=_SIZE),
    )
    sequence = {"sequence_id": {"anyOf": [_SIZE, _TEXT]}, "sequence_start": {"type": "boolean"}}
    inference = _object(
        ("inputs",),
        id=_TEXT,
        parameters=_parameters(
            **sequence, sequence_end={"type": "boolean"}, priority=_SIZE, timeout=_SIZE, binary_data_output={}
        ),
        inputs={"type": "array", "maxItems": 3, "items": described},
        outputs={"type": "array", "maxItems": 3, "items": wanted},
    )
    inference["example"] = {"inputs": [row]}
    generation = {"type": "object", "properties": {tensor: _DATA, "id": _TEXT, "parameters": _parameters(**sequence)}}
    name = {"name": "model", "in": "path", "required": True, "schema": {"anyOf": [{"enum": [model]}, _TEXT]}}
    number = {"name": "version", "in": "path", "required": True, "schema": {"anyOf": [{"enum": ["1"]}, _SIZE]}}
    length = {"name": "Inference-Header-Content-Length", "in": "header", "schema": _SIZE}
    paths: dict[str, Any] = {path: {"get": _operation([])} for path in ("/v2", "/v2/health/live", "/v2/health/ready")}
    for base, parameters in (("/v2/models/{model}", [name]), ("/v2/models/{model}/versions/{version}", [name, number])):
        for read in ("", "/ready", "/config", "/stats"):
            paths[base + read] = {"get": _operation(parameters)}
        paths[f"{base}/infer"] = {"post": _operation([*parameters, length], inference)}
        for verb in ("generate", "generate_stream"):
            paths[f"{base}/{verb}"] = {"post": _operation(parameters, generation)}
    return {"openapi": "3.0.3", "info": {"title": "KServe's protocol", "version": "2"}, "paths": paths}
