"""The judge of answers, and the tensors that it sends and reads."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.probing.golden_check import Answer, compare_outputs, golden_problems, model_problems, score_problems
from serving.triton import tensors

OUTPUT = {"name": "y", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("received", "difference"),
    [
        ({}, None),
        ({"data": [1.00009, 2.0]}, None),
        ({"data": [[1.0], [2.0]]}, None),
        ({"data": [1.1, 2.0]}, "output 'y', value 0: expected 1.0 within 1e-05 + 0.0001 of the value, received 1.1"),
        ({"data": [None, 2.0]}, "output 'y', value 0"),
        ({"data": [1.0]}, "output 'y': expected 2 values, received 1"),
        ({"shape": [1, 2]}, "output 'y': expected shape [2], received [1, 2]"),
        ({"datatype": "FP64"}, "output 'y': expected datatype FP32, received FP64"),
        ({"name": "z"}, "output 'y': expected it in the answer, received ['z']"),
    ],
)
def test_outputs_are_compared_within_their_tolerance(received: dict[str, Any], difference: str | None) -> None:
    found = list(compare_outputs([OUTPUT], [{**OUTPUT, **received}], relative=1e-4, absolute=1e-5))

    assert found == [] if difference is None else found[0].startswith(difference)


@pytest.mark.parametrize(
    ("expected", "received", "same"), [(1, 1, True), (1, 2, False), (True, 1, False), ("a", "a", True)]
)
def test_values_with_an_exact_form_must_be_equal(expected: object, received: object, same: bool) -> None:
    output = {"name": "y", "datatype": "BYTES", "shape": [1], "data": [expected]}

    assert (list(compare_outputs([output], [{**output, "data": [received]}], relative=1, absolute=1)) == []) is same


CLASSES = {"name": "y", "datatype": "BYTES", "shape": [2], "data": ["0.900000:0:Barolo", "0.100000:2:Barbera"]}


@pytest.mark.parametrize(
    ("received", "same"),
    [
        (["0.900004:0:Barolo", "0.099999:2:Barbera"], True),
        (["0.91:0:Barolo", "0.09:2:Barbera"], False),
        (["0.900000:0:Barolo\r", "0.100000:2:Barbera"], False),
        (["0.900000:1:Barolo", "0.100000:2:Barbera"], False),
    ],
)
def test_classes_are_compared_by_label_and_their_scores_within_the_tolerance(received: list[str], same: bool) -> None:
    found = compare_outputs(
        [CLASSES], [{**CLASSES, "data": received}], relative=1e-4, absolute=1e-5, classified=frozenset({"y"})
    )
    assert (list(found) == []) is same


NUMPY = {
    "BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8,
    "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "FP16": np.float16, "FP32": np.float32,
    "FP64": np.float64, "BF16": ml_dtypes.bfloat16,
}  # fmt: skip


@given(st.sampled_from(sorted(NUMPY)), st.lists(st.floats(-60000, 60000, width=32), max_size=20))
def test_binary_tensors_are_those_of_numpy(datatype: str, numbers: list[float]) -> None:
    with np.errstate(invalid="ignore"):
        array = np.array(numbers).astype(np.float32).astype(NUMPY[datatype])
    binary = array.tobytes()
    values = tensors.unpack(datatype, binary)
    assert values == array.astype(np.float64 if array.dtype.kind in "fV" else array.dtype).tolist()
    assert tensors.pack(datatype, values) == binary
    if datatype == "BF16":
        assert tensors.pack(datatype, [float(number) for number in np.array(numbers, np.float32)]) == binary


class Triton:
    """A Triton that remembers the questions, and always gives the same answer."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes | None]] = []
        self._answer = answer

    def __call__(self, method: str, path: str, headers: Any, body: bytes | None) -> Answer:
        self.asked.append((method, path, dict(headers), body))
        return self._answer


HALF = {
    "request": {"inputs": [{"name": "x", "datatype": "FP16", "shape": [2], "data": [0.5, 2]}]},
    "response": {"outputs": [{"name": "y", "datatype": "FP16", "shape": [2], "data": [1.0, 4.0]}]},
}


def test_halves_are_sent_and_asked_for_as_binary_data() -> None:
    head = b'{"outputs":[{"name":"y","datatype":"FP16","shape":[2],"parameters":{"binary_data_size":4}}]}'
    body = head + np.array([1, 4], np.float16).tobytes()
    triton = Triton(Answer(200, body, {"inference-header-content-length": str(len(head))}))

    assert golden_problems(triton, "", {"name": "m", "version": 1, "golden": HALF}) == []

    ((_, path, headers, sent),) = triton.asked
    assert path == "/v2/models/m/versions/1/infer"
    assert sent is not None
    length = int(headers[tensors.LENGTH_HEADER])
    assert b'"binary_data_size": 4' in sent[:length]
    assert b'"binary_data": true' in sent[:length]
    assert sent[length:] == np.array([0.5, 2], np.float16).tobytes()


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (Answer(400, b'{"error": "unexpected shape"}'), True),
        (Answer(500, b'{"error": "onnx runtime error"}'), True),
        (Answer(413, b"Payload Too Large"), True),
        (Answer(500, b'{"error": "Stub process \'m_0\' is not healthy."}'), False),
        (Answer(503, b"overflow"), False),
        (Answer(200, b"<html>"), False),
    ],
)
def test_waiting_ends_where_a_loaded_model_will_answer_so_again(answer: Answer, final: bool) -> None:
    (problem,) = golden_problems(Triton(answer), "", {"name": "m", "version": 1, "golden": HALF})
    assert problem.final is final


def test_a_derived_golden_inference_that_fails_says_that_it_was_derived_and_what_to_do() -> None:
    derived = {**HALF, "derived": {"with": "ONNX Runtime 1.31.1"}}
    (problem,) = golden_problems(Triton(Answer(400, b"no")), "", {"name": "m", "version": 1, "golden": derived})
    assert "derived from the ONNX file with ONNX Runtime 1.31.1 on random input" in problem.text
    assert "put a request and a response of your own into triton/m/golden.json" in problem.text
    (committed,) = golden_problems(Triton(Answer(400, b"no")), "", {"name": "m", "version": 1, "golden": HALF})
    assert "derived" not in committed.text


def test_another_interface_than_declared_is_told_before_the_golden_inference_is_asked() -> None:
    declared = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    triton = Triton(Answer(200, b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}], "outputs": []}'))
    model = {"name": "m", "version": 1, "golden": HALF, "inputs": declared, "outputs": []}
    (problem,) = model_problems(triton, "http://here", model)
    assert problem.final
    assert problem.text == (
        "model m version 1: interface: GET http://here/v2/models/m/versions/1: input 'x': expected FP32 [-1, 2], "
        "received FP32 [-1]"
    )


def test_a_full_script_server_answers_no_golden_request_wrongly() -> None:
    assert score_problems(Triton(Answer(429)), "", {"request": 1, "response": 2}) == []
    assert score_problems(Triton(Answer(200, b"2.00001")), "", {"request": 1, "response": 2}) == []
    (problem,) = score_problems(Triton(Answer(200, b"3")), "", {"request": 1, "response": 2})
    assert problem.text == "scorer: golden request: POST /score: expected 2, received 3"


def test_a_script_that_takes_other_than_json_is_sent_a_file() -> None:
    server = Triton(Answer(200, b"281 : TABBY"))
    golden = {"body": "iVBORw==", "contentType": "image/png", "response": "281 : TABBY"}
    assert score_problems(server, "", golden) == []
    assert server.asked == [("POST", "/score", {"Content-Type": "image/png"}, b"\x89PNG")]


@pytest.mark.parametrize(
    "body",
    [
        b'{"outputs": [{"name": "y", "datatype": "BYTES", "parameters": {"binary_data_size": 6}}]}\x00\x00',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "parameters": null}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP99", "parameters": {"binary_data_size": 4}}]}\x00\x00\x00\x00',
        b'{"outputs": [{"name": "y", "parameters": {"binary_data_size": "4"}}]}',
        b"[" * 100_000,
        b"no JSON",
    ],
)
def test_an_answer_that_is_none_to_an_inference_is_told_as_that(body: bytes) -> None:
    length = body.find(b"}]}") + 3 if b"}]}" in body else len(body)
    headers = {tensors.LENGTH_HEADER: str(length)}
    with pytest.raises(ValueError):  # noqa: PT011 (the words are Python's own for some)
        tensors.decode(headers, body)
    golden = {"request": {"inputs": []}, "response": {"outputs": [OUTPUT]}}
    model = {"name": "m", "version": 1, "golden": golden}
    (problem,) = golden_problems(lambda *_: Answer(200, body, headers), "", model)
    assert "expected an answer to an inference" in problem.text
