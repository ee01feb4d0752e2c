"""A recorded call of gRPC asks the same over HTTP; whatever the message is, nothing but `MessageError` comes of it."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from serving.proving.grpc_request import MessageError, request
from serving.proving.plan import Request

Message = service_pb2.ModelInferRequest


def message(**changed: Any) -> Any:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2]}
    raw = [struct.pack("<2f", 1.5, 2.5)]
    return Message(**{"model_name": "digits", "inputs": [tensor], "raw_input_contents": raw, **changed})


def head(asked: Request) -> Any:
    return json.loads(asked.body[: asked.head_bytes])


def test_raw_tensors_become_binary_data() -> None:
    asked = request(message().SerializeToString(), "one")
    assert (asked.id, asked.to, asked.path, asked.method) == ("one", "triton", "/v2/models/digits/infer", "POST")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    assert head(asked) == {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    assert asked.body[asked.head_bytes :] == struct.pack("<2f", 1.5, 2.5)


def test_version_id_outputs_and_parameters_go_along() -> None:
    outputs = [{"name": "y", "parameters": {"classification": {"int64_param": 3}}}]
    parameters = {
        "sequence_id": {"int64_param": -7},
        "sequence_start": {"bool_param": True},
        "who": {"string_param": "ä"},
        "heat": {"double_param": 0.5},
        "big": {"uint64_param": 2**63},
    }
    asked = request(
        message(model_version="2", id="a", outputs=outputs, parameters=parameters).SerializeToString(), "one"
    )
    assert asked.path == "/v2/models/digits/versions/2/infer"
    assert head(asked)["id"] == "a"
    assert head(asked)["outputs"] == [{"name": "y", "parameters": {"binary_data": True, "classification": 3}}]
    assert head(asked)["parameters"] == {
        "sequence_id": -7,
        "sequence_start": True,
        "who": "ä",
        "heat": 0.5,
        "big": 2**63,
    }


@pytest.mark.parametrize(
    ("datatype", "contents", "data"),
    [
        ("BOOL", {"bool_contents": [True, False]}, b"\x01\x00"),
        ("INT8", {"int_contents": [-1, 2]}, b"\xff\x02"),
        ("INT64", {"int64_contents": [-1]}, b"\xff" * 8),
        ("UINT16", {"uint_contents": [258]}, b"\x02\x01"),
        ("UINT64", {"uint64_contents": [2**64 - 1]}, b"\xff" * 8),
        ("FP32", {"fp32_contents": [1.5]}, struct.pack("<f", 1.5)),
        ("FP32", {"fp32_contents": [1.5, 2.5, -1.0]}, struct.pack("<3f", 1.5, 2.5, -1.0)),
        ("FP64", {"fp64_contents": [1.5, 2.0]}, struct.pack("<2d", 1.5, 2.0)),
        ("BYTES", {"bytes_contents": [b"ab", b""]}, b"\x02\x00\x00\x00ab\x00\x00\x00\x00"),
    ],
)
def test_typed_contents_become_binary_data(datatype: str, contents: Any, data: bytes) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": [1], "contents": contents}
    asked = request(message(inputs=[tensor], raw_input_contents=[]).SerializeToString(), "one")
    assert asked.body[asked.head_bytes :] == data


@pytest.mark.parametrize(
    "changed",
    [
        {"model_name": ""},
        {"raw_input_contents": []},
        {"raw_input_contents": [b"", b""]},
        {
            "inputs": [{"name": "x", "datatype": "FP16", "shape": [1], "contents": {"bytes_contents": [b"a"]}}],
            "raw_input_contents": [],
        },
    ],
)
def test_one_that_cannot_be_asked_is_refused(changed: Any) -> None:
    with pytest.raises(MessageError):
        request(message(**changed).SerializeToString(), "one")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(MessageError):
        request(content, "one")


@given(st.data())
def test_a_damaged_message_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(message(model_version="1", outputs=[{"name": "y"}]).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MessageError):
        request(bytes(whole), "one")


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6),
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20),
)
def test_shapes_and_names_are_read_as_the_library_reads_them(shape: list[int], name: str) -> None:
    tensor = {"name": name, "datatype": "FP32", "shape": shape}
    asked = request(message(inputs=[tensor]).SerializeToString(), "one")
    assert (head(asked)["inputs"][0]["shape"], head(asked)["inputs"][0]["name"]) == (shape, name)
