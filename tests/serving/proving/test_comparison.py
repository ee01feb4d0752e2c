"""Which answers are alike."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.proving.client import Answer
from serving.proving.comparison import differences
from serving.proving.json_path import JsonPath, written
from serving.triton.tensors import pack

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=4),
    max_leaves=10,
)


def answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, value if isinstance(value, bytes) else json.dumps(value).encode())


def places(old: Any, new: Any, tolerance: float = 0.001, ignore: tuple[str, ...] = ()) -> list[str]:
    return [
        found.path for found in differences(answer(old), answer(new), tolerance, tuple(map(JsonPath.parse, ignore)))
    ]


@given(VALUES)
def test_an_answer_is_like_itself_however_it_is_written(value: Any) -> None:
    spaced = json.dumps(value, indent=1).encode()
    assert differences(answer(value), Answer(200, spaced), 0.0) == []


@given(VALUES, VALUES)
def test_what_is_ignored_as_a_whole_never_differs(old: Any, new: Any) -> None:
    assert places({"a": old}, {"a": new}, ignore=("$.a",)) == []


@given(
    st.floats(min_value=-1e6, max_value=1e6),
    st.floats(min_value=0.0001, max_value=0.5),
    st.floats(min_value=0.1, max_value=10),
)
def test_numbers_differ_by_more_than_the_tolerance_alone(number: float, tolerance: float, times: float) -> None:
    other = number + times * tolerance * max(1.0, abs(number))
    allowed = tolerance * max(1.0, abs(number), abs(other))
    if not math.isclose(abs(other - number), allowed, rel_tol=1e-6):
        assert bool(places([number], [other], tolerance)) == (abs(other - number) > allowed)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, ["$.a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["$.a[1]"]),
        ({"a": 1}, {}, ["$.a"]),
        ({"a": 1}, {"a": True}, ["$.a"]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": "x"}, {"a": "y"}, ["$.a"]),
        ([math.nan], [math.nan], []),
        ([math.inf], [math.inf], []),
        ([math.inf], [1.0], ["$[0]"]),
        ([10**400], [10**400 + 1], ["$[0]"]),
        ([10**400], [1.0], ["$[0]"]),
        (b"\xff\x00", b"\xff\x01", ["body"]),
    ],
)
def test_structure_counts(old: Any, new: Any, expected: list[str]) -> None:
    assert places(old, new) == expected


@given(VALUES)
def test_a_text_that_is_json_is_compared_as_json(value: Any) -> None:
    written_so, otherwise = (json.dumps(value, indent=indent) for indent in (None, 1))
    if isinstance(value, dict | list):
        assert places(written_so, otherwise) == []
        assert places({"a": [written_so]}, {"a": [otherwise]}) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('{"y": 4.0}', '{"y": 4.0001}', []),
        ('{"y": 4.0}', '{"y": 4.2}', ["$.json().y"]),
        ({"a": "[1.0, 2]"}, {"a": "[1.0001, 3]"}, ["$.a.json()[1]"]),
        ('{"a": "[1]"}', '{"a": "[2]"}', ["$.json().a.json()[0]"]),
        ("0.73", "0.7300001", []),
        ("0.73", "0.74", ["$.json()"]),
        ("10001", "10002", ["$"]),  # a name
        ({"a": "0.73"}, {"a": "0.7300001"}, ["$.a"]),
        ("[1]", "a text", ["$"]),
        ("[1]", "[1", ["$"]),
        ("[1]", "{}", ["$.json()"]),
    ],
)
def test_a_path_leads_into_a_text_that_is_json(old: Any, new: Any, expected: list[str]) -> None:
    assert places(old, new) == expected
    assert places(old, new, ignore=tuple(expected)) == []


def test_of_an_answer_that_is_one_text_a_path_needs_no_step() -> None:
    old, new = (json.dumps({"id": number, "y": 1}) for number in (1, 2))
    assert places(old, new, ignore=("$.id",)) == []
    assert places(old, new, ignore=("$.y",)) == ["$.json().id"]
    assert places({"t": old}, {"t": new}, ignore=("$.id",)) == ["$.t.json().id"]


# -- Triton's tensors

DATA = {
    **{name: st.integers(0, 120) for name in ("INT8", "UINT8", "INT64", "UINT64")},
    **{name: st.floats(-100, 100, width=16) for name in ("FP16", "FP32", "FP64")},
    "BOOL": st.booleans(),
    "BYTES": st.text(max_size=5),
}
TENSORS = st.sampled_from(sorted(DATA)).flatmap(
    lambda datatype: st.tuples(st.just(datatype), st.lists(DATA[datatype], max_size=5))
)


def packed_texts(values: list[str]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in (value.encode() for value in values))


def triton(*tensors: tuple[str, list[Any]], binary: bool, version: int = 1) -> Answer:
    outputs: list[dict[str, Any]] = []
    behind = b""
    for number, (datatype, values) in enumerate(tensors):
        output: dict[str, Any] = {"name": f"o{number}", "datatype": datatype, "shape": [len(values)]}
        if binary:
            content = packed_texts(values) if datatype == "BYTES" else pack(datatype, values)
            behind += content
            output["parameters"] = {"binary_data_size": len(content)}
        else:
            output["data"] = values
        outputs.append(output)
    head = json.dumps({"model_name": "m", "model_version": f"{version}", "outputs": outputs}).encode()
    return Answer(200, head + behind, head_bytes=len(head) if binary else None)


VERSION = JsonPath.parse("$.model_version")


def of_triton(old: Answer, new: Answer, tolerance: float = 0.001) -> list[str]:
    return [found.path for found in differences(old, new, tolerance, (VERSION,), of_triton=True)]


@given(st.lists(TENSORS, max_size=3), st.booleans(), st.booleans())
def test_equal_tensors_are_alike_in_any_form_and_version(
    tensors: list[tuple[str, list[Any]]], before: bool, after: bool
) -> None:
    old, new = triton(*tensors, binary=before), triton(*tensors, binary=after, version=20)
    assert of_triton(old, new) == []


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("datatype", "old", "new", "expected"),
    [
        ("FP16", [1.0, 2.0], [1.0, 3.0], ["$.outputs[0].data[1]"]),
        ("FP32", [1.0], [1.0001], []),
        ("FP32", [1.0], [1.1], ["$.outputs[0].data[0]"]),
        ("INT64", [100_000], [100_001], ["$.outputs[0].data[0]"]),
        ("INT64", [2**53], [2**53 + 1], ["$.outputs[0].data[0]"]),
        ("BOOL", [True], [False], ["$.outputs[0].data[0]"]),
        ("BYTES", ["12"], ["13"], ["$.outputs[0].data[0]"]),
        ("BYTES", ['{"a": 1.0}'], ['{"a": 1.0001}'], []),
    ],
)
def test_integers_of_tensors_must_be_equal(
    datatype: str, old: list[Any], new: list[Any], expected: list[str], binary: bool
) -> None:
    assert of_triton(triton((datatype, old), binary=binary), triton((datatype, new), binary=binary)) == expected


def test_a_shape_must_be_equal() -> None:
    old, new = ({"outputs": [{"shape": [size], "datatype": "FP32", "data": []}]} for size in (1000, 1001))
    assert of_triton(answer(old), answer(new)) == ["$.outputs[0].shape[0]"]


@pytest.mark.parametrize("head_bytes", [0, 1, 9999])
def test_an_answer_that_is_cut_is_compared_by_its_bytes(head_bytes: int) -> None:
    whole = triton(("FP32", [1.0, 2.0]), binary=True)
    cut = Answer(200, whole.body[:-3], head_bytes=head_bytes)
    assert of_triton(whole, cut) == ["body"]


def test_another_status_is_the_difference() -> None:
    assert [found.path for found in differences(answer(1), answer(1, 500), 0.1)] == ["status"]


@pytest.mark.parametrize(
    ("path", "covered", "free"),
    [
        ("$.id", ("id",), ("a", "id")),
        ("$.outputs[*].data[0]", ("outputs", 3, "data", 0), ("outputs", 3, "data", 1)),
        ('$["a b"].c', ("a b", "c", 0), ("a b",)),
        ("$.*", ("x",), ()),
        ("$", ("anything",), None),
    ],
)
def test_a_path_covers_its_place_and_what_is_inside(path: str, covered: Any, free: Any) -> None:
    found = JsonPath.parse(path)
    assert found.covers(covered)
    assert free is None or not found.covers(free)


@pytest.mark.parametrize("path", ["id", "$id", "$..id", "$.a[", "$.a[?(@.b)]", "$.a[-1]", "$."])
def test_what_is_no_path_is_named(path: str) -> None:
    with pytest.raises(ValueError, match="is no path that is understood; expected one as in"):
        JsonPath.parse(path)


def test_a_place_is_written_as_a_path() -> None:
    assert JsonPath.parse(written(("a", 0, "b"))).steps == ("a", 0, "b")
