"""Which answers are alike."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.proving.client import Answer
from serving.proving.comparison import differences
from serving.proving.json_path import JsonPath, written

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
