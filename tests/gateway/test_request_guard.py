"""The guard refuses what would end Triton, and nothing else: properties, told by what arrives at an echoing server."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.request_guard import MAX_DEPTH
from tests.gateway.conftest import Answer, Gateway

INFER = "/v2/models/digits/infer"
GENERATE = "/v2/models/digits/generate"
SHARED = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Text that looks like structure, in every escape that JSON knows.
TEXT = st.text(st.sampled_from('[]{}"\\:,/ \n\tshape0é\u2028\U0001f600'), max_size=30) | st.sampled_from(
    ['"shape":[1000000000]', "[" * 300, '\\"shape\\": [9', "shape", '{"shape": [99999999999]}']
)
VALUE = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | TEXT


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """One input, its values flat or nested, as clients send it."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    values: list[Any] = draw(st.lists(VALUE, min_size=math.prod(shape), max_size=math.prod(shape)))
    if draw(st.booleans()):
        for size in reversed(shape[1:]):
            values = [values[at : at + size] for at in range(0, len(values), size)]
    named = {"name": draw(TEXT), "shape": shape, "datatype": "BYTES", "data": values}
    if draw(st.booleans()):
        named["parameters"] = {draw(TEXT): draw(VALUE), "shape": draw(VALUE)}
    return dict(random.Random(draw(st.integers())).sample(list(named.items()), len(named)))


@st.composite
def bodies(draw: st.DrawFn, requests: st.SearchStrategy[Any]) -> bytes:
    """A request in any of JSON's layouts."""
    layout: dict[str, Any] = {
        "ensure_ascii": draw(st.booleans()),
        "indent": draw(st.sampled_from([None, 1, "\t"])),
        "separators": draw(st.sampled_from([None, (",", ":"), (" ,", " : ")])),
    }
    return json.dumps(draw(requests), **layout).encode()


REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(inputs(), min_size=1, max_size=3)},
    optional={"id": TEXT, "outputs": st.just([{"name": "y"}]), "parameters": st.dictionaries(TEXT, VALUE, max_size=3)},
)
JSON = st.recursive(VALUE, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)


def post(gateway: Gateway, body: bytes, path: str = INFER, **headers: str) -> Answer:
    return gateway.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})


@given(body=bodies(REQUESTS))
@SHARED
def test_a_request_as_clients_send_it_passes(gateway: Gateway, body: bytes) -> None:
    answer = post(gateway, body)
    assert (answer.status, answer.json().get("bytes")) == (200, len(body)), answer.body


@given(body=bodies(st.dictionaries(TEXT, JSON, max_size=4)))
@SHARED
def test_generate_takes_any_object_whatever_its_keys_are(gateway: Gateway, body: bytes) -> None:
    assert post(gateway, body, GENERATE).json().get("bytes") == len(body)


@given(request_=REQUESTS, data=st.data())
@SHARED
def test_a_shape_beyond_the_body_is_refused_wherever_it_stands(
    gateway: Gateway, request_: dict[str, Any], data: st.DataObject
) -> None:
    shape = data.draw(st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=4))
    shape[data.draw(st.integers(0, len(shape) - 1))] = data.draw(st.integers(10**6, 10**30))
    data.draw(st.sampled_from(request_["inputs"]))["shape"] = shape
    answer = post(gateway, data.draw(bodies(st.just(request_))))
    assert (answer.status, "more elements" in answer.json()["error"]) == (400, True)


@given(depth=st.integers(1, 2 * MAX_DEPTH), brackets=st.randoms(use_true_random=True), text=TEXT)
@SHARED
def test_nesting_is_bounded_exactly(gateway: Gateway, depth: int, brackets: random.Random, text: str) -> None:
    value: Any = text
    for _ in range(depth - 1):
        value = brackets.choice([[value], {"a": value}, [1, value, []]])
    answer = post(gateway, json.dumps({"a": value}).encode())
    assert answer.status == (200 if _depth({"a": value}) <= MAX_DEPTH else 400)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def test_many_rows_pass(gateway: Gateway) -> None:
    rows = [[float(number)] * 13 for number in range(2000)]
    body = json.dumps({"inputs": [{"name": "x", "shape": [2000, 13], "datatype": "FP32", "data": rows}]}).encode()
    assert post(gateway, body).json()["bytes"] == len(body)


def test_a_binary_request_may_hold_anything_behind_its_head(gateway: Gateway) -> None:
    head = json.dumps({"inputs": [{"name": "x", "shape": [2, 300], "datatype": "UINT8"}]}).encode()
    body = head + b'[{"\0' * 150
    assert post(gateway, body, Inference_Header_Content_Length=str(len(head))).json()["bytes"] == len(body)
    assert post(gateway, b"[" * 600, Inference_Header_Content_Length="0").json()["bytes"] == 600
    for wrong in ("601", "-1", "x", "1.0", "9" * 30):
        assert post(gateway, b"[" * 600, Inference_Header_Content_Length=wrong).status == 400


def test_an_empty_input_and_an_empty_body_pass(gateway: Gateway) -> None:
    empty = b'{"inputs": [{"name": "x", "shape": [0, 1000000], "datatype": "FP32", "data": []}]}'
    assert post(gateway, empty).json()["bytes"] == len(empty)
    assert post(gateway, b"").json()["bytes"] == 0


def test_gzip_is_unpacked_at_the_door(gateway: Gateway) -> None:
    body = b'{"inputs": [' + b"0, " * 500_000 + b"0]}"  # a thousandth of it, packed
    for encoding in ("gzip", "GZIP"):
        arrived = post(gateway, gzip.compress(body), Content_Encoding=encoding).json()
        assert arrived["bytes"] == len(body)
        assert "content-encoding" not in arrived["headers"]
    assert post(gateway, body, Content_Encoding="identity").status == 200
    for other in ("deflate", "br", "zstd", "gzip, gzip", "gzip, deflate", "compress"):
        answer = post(gateway, body, Content_Encoding=other)
        assert (answer.status, "send the body as it is, or with gzip" in answer.json()["error"]) == (415, True)


def test_a_script_gets_its_body_as_it_was_sent(gateway: Gateway) -> None:
    packed = gzip.compress(b"[" * 1000)
    arrived = post(gateway, packed, "/score", Content_Encoding="gzip", Content_Type="text/x").json()
    assert (arrived["headers"]["content-encoding"], arrived["headers"]["content-type"]) == ("gzip", "text/x")
    assert arrived["headers"]["content-length"] == str(len(packed))


@pytest.mark.parametrize("path", [INFER, GENERATE, "/v2/models/digits/generate_stream"])
def test_triton_never_sees_a_form(gateway: Gateway, path: str) -> None:
    arrived = post(gateway, b"{}", path, Content_Type="application/x-www-form-urlencoded").json()
    assert arrived["headers"]["content-type"] == "application/octet-stream"
    reading = gateway.ask("GET", "/v2", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"})
    assert reading.json()["headers"]["content-type"] == "application/octet-stream"


def test_large_requests_at_once_are_each_held_and_passed_on(gateway: Gateway) -> None:
    body = b'{"inputs": [' + b"1, " * 10_000_000 + b"1]}"
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(gateway.connect())) for _ in range(3)]
        for connection in connections:
            headers = {"Authorization": f"Bearer {gateway.keys.primary}"}
            connection.request("POST", INFER, body, headers)
        assert [json.loads(connection.getresponse().read())["bytes"] for connection in connections] == [len(body)] * 3
