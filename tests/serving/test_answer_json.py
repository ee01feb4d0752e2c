"""Answers in JSON: all that `json.dumps` takes, or the README's table promises, comes out equal in any combination."""

import dataclasses
import datetime
import enum
import json
import math
import uuid
import zoneinfo
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from serving.script.answer_json import to_json

# A value, and what a client reads of it.
Pair = tuple[Any, Any]
Pairs = st.SearchStrategy[Pair]

Row = namedtuple("Row", ["left", "right"])
Private = dataclasses.make_dataclass("Private", ["_hidden", "shown"])


class MyDict(dict):  # type: ignore[type-arg]
    pass


class MyList(list):  # type: ignore[type-arg]
    pass


class MyText(str):
    pass


class MyFloat(float):
    pass


class MyInt(int):
    pass


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2**70


class Word(str, enum.Enum):
    RED = "red"


class Colour(enum.Enum):
    RED = "red"
    DAY = datetime.date(1, 1, 1)
    NUMBER = np.float32(0.1)
    NOTHING = float("nan")
    PAIR = (1, np.int8(2))


COLOURS = {Colour.RED: "red", Colour.DAY: "0001-01-01", Colour.NUMBER: 0.1, Colour.NOTHING: None, Colour.PAIR: [1, 2]}


def number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def short(value: Any) -> float | None:
    """Round a number to fewer bits than Python's, as short as it is written."""
    return number(float(str(value)))


def numpys_date(value: np.datetime64) -> str | None:
    if np.isnat(value):
        return None
    if not -719162 <= value.astype("M8[D]").astype(int) <= 2932896:  # years 1 to 9999
        return str(value)
    return str(value.astype("M8[us]").astype(datetime.datetime).isoformat())


def same(value: Any) -> Pair:
    return value, value


def dates(form: Any) -> Pairs:
    return form.map(lambda value: (value, value.isoformat()))


# Amsterdam's offset had seconds until 1937.
ZONES = st.sampled_from([None, datetime.timezone.utc, zoneinfo.ZoneInfo("Europe/Amsterdam")])
TEXTS = st.text(st.characters() | st.characters(categories=["Cs"]))
FLOATS = st.floats()
NUMPY_DATES = st.one_of(
    st.integers(-(2**62), 2**62).map(lambda value: np.datetime64(value, "ns")),
    st.integers(-4_000_000, 4_000_000).map(lambda value: np.datetime64(value, "D")),
    st.datetimes().map(np.datetime64),
)
TIMESTAMPS = st.integers(-(2**62), 2**62).map(pd.Timestamp)
LEAVES: Pairs = st.one_of(
    st.none().map(same),
    st.booleans().map(same),
    st.integers().map(same),
    FLOATS.map(lambda value: (value, number(value))),
    TEXTS.map(same),
    st.text().map(lambda value: (MyText(value), value)),
    FLOATS.map(lambda value: (MyFloat(value), number(value))),
    st.integers().map(lambda value: (MyInt(value), value)),
    st.sampled_from([*COLOURS.items(), (Level.LOW, 1), (Level.HIGH, 2**70), (Word.RED, "red")]),
    dates(st.dates()),
    dates(st.datetimes(timezones=ZONES)),
    dates(st.times()),
    dates(TIMESTAMPS),
    st.just((pd.NaT, None)),
    st.uuids().map(lambda value: (value, str(value))),
    st.booleans().map(lambda value: (np.bool_(value), value)),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: (np.int64(value), value)),
    st.integers(0, 255).map(lambda value: (np.uint8(value), value)),
    FLOATS.map(lambda value: (np.float64(value), number(value))),
    st.floats(width=32).map(lambda value: (np.float32(value), short(np.float32(value)))),
    st.text().filter(lambda text: "\0" not in text).map(lambda value: (np.str_(value), value)),
    NUMPY_DATES.map(lambda value: (value, numpys_date(value))),
)


def array(values: list[float], dtype: str, form: int) -> Pair:
    """Draw an array in one of the forms in which numpy keeps it."""
    there = np.array(values, dtype)
    read = [short(value) for value in there]
    if form == 0:
        return there, read
    if form == 1:  # not contiguous
        return np.stack([there, there]).T, [[value, value] for value in read]
    if form == 2:
        return there.astype(there.dtype.newbyteorder(">")), read
    return (np.array(there[0]), read[0]) if values else (there[:0], [])


ARRAYS: Pairs = st.one_of(
    st.builds(
        array,
        st.lists(st.floats(width=32)),
        st.sampled_from(["float32", "float64"]),
        st.integers(0, 3),
    ),
    st.lists(st.integers(-128, 127)).map(lambda values: (np.array(values, "int8"), values)),
    st.lists(NUMPY_DATES)
    .map(lambda values: (np.array(values, "M8[us]"), values))
    .map(lambda pair: (pair[0], [numpys_date(value) for value in pair[0]])),
    st.lists(st.text().filter(lambda text: "\0" not in text)).map(lambda v: (np.array(v, object), v)),
    st.lists(TIMESTAMPS).map(lambda values: (pd.Series(values, dtype="M8[ns]"), [v.isoformat() for v in values])),
)
# A key, and the string that it becomes.
KEYS: Pairs = st.one_of(
    TEXTS.map(same),
    st.text().map(lambda key: (MyText(key), key)),
    st.text().filter(lambda text: "\0" not in text).map(lambda key: (np.str_(key), key)),
    (st.none() | st.booleans() | st.integers() | FLOATS).map(lambda key: (key, json.dumps(key))),
    st.integers(-128, 127).map(lambda key: (np.int8(key), str(key))),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(
        lambda key: (np.float32(key), json.dumps(short(np.float32(key))))
    ),
    st.booleans().map(lambda key: (np.bool_(key), json.dumps(key))),
    dates(st.dates()),
    dates(TIMESTAMPS),
    st.uuids().map(lambda key: (key, str(key))),
    st.sampled_from([(Colour.RED, "red"), (Word.RED, "red"), (Level.LOW, "1"), (Colour.DAY, "0001-01-01")]),
)


def lists(pairs: Pairs) -> Pairs:
    def build(found: list[Pair], form: Any) -> Pair:
        values = [value for value, _ in found]
        return form(values), [read for _, read in found]

    rows = st.tuples(pairs, pairs).map(lambda two: (Row(two[0][0], two[1][0]), [two[0][1], two[1][1]]))
    return st.builds(build, st.lists(pairs, max_size=4), st.sampled_from([list, tuple, MyList])) | rows


def objects(pairs: Pairs) -> Pairs:
    def build(found: list[tuple[Pair, Pair]], form: Any) -> Pair:
        value = form({key: item for (key, _), (item, _) in found})
        return value, {name: read for (_, name), (_, read) in found}

    forms = st.sampled_from([dict, MyDict, OrderedDict, lambda items: MultiDict(list(items.items()))])
    dataclass = st.tuples(pairs, pairs).map(
        lambda two: (Private(two[0][0], two[1][0]), {"_hidden": two[0][1], "shown": two[1][1]})
    )
    # Two keys that are equal, or become one string, would be one.
    apart = (lambda member: member[0][0], lambda member: member[0][1])
    return st.builds(build, st.lists(st.tuples(KEYS, pairs), max_size=4, unique_by=apart), forms) | dataclass


VALUES = st.recursive(LEAVES | ARRAYS, lambda pairs: lists(pairs) | objects(pairs), max_leaves=12)


@given(VALUES)
@settings(max_examples=600, deadline=None)
def test_every_value_of_the_table_comes_out_equal_in_any_combination(pair: Pair) -> None:
    value, read = pair

    assert json.loads(to_json([value])) == [read]


STANDARD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda values: (
        st.lists(values) | st.dictionaries(st.none() | st.booleans() | st.integers() | FLOATS | TEXTS, values)
    ),
)


@given(STANDARD)
@settings(max_examples=300, deadline=None)
def test_what_the_standard_library_takes_comes_out_equal(value: Any) -> None:
    assert json.loads(to_json([value])) == json.loads(json.dumps([value]))


@pytest.mark.parametrize("leaf", ["a", np.float32(0.5), datetime.date(2026, 1, 1)], ids=["text", "numpy", "date"])
def test_depth_is_that_of_the_standard_library(leaf: object) -> None:
    value: object = leaf
    for _ in range(600):
        value = [value]

    assert to_json(value).count(b"[") == 600


@pytest.mark.parametrize(
    "value",
    [b"bytes", {1, 2}, 1j, object(), {(1, 2): 3}, {b"a": 1}, np.array([1j]), datetime.timedelta(1)],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_json(value)


def test_none_is_an_empty_object_and_a_mask_is_null() -> None:
    assert to_json(None) == b"{}"
    assert json.loads(to_json({1: np.ma.masked_array([1, 2], [False, True])})) == {"1": [1, None]}
    assert json.loads(to_json({1: np.longdouble(0.5), "nat": {np.datetime64("NaT"): uuid.UUID(int=0)}})) == {
        "1": 0.5,
        "nat": {"NaT": str(uuid.UUID(int=0))},
    }
