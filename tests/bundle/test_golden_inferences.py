"""Golden inferences: committed ones that fit their model or not, and those derived from an ONNX model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from bundle.bundle_types import Model
from bundle.golden_derivation import NotDerivable, derive
from bundle.layout import check_layout
from bundle.problems import LayoutError
from tests import onnx_models
from tests.bundle.bundles import INPUT, OUTPUT, model

GOLDEN = {
    "request": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
    "response": {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2, 4]}]},
    "tolerance": {"relative": 1e-3},
}


def write_golden(bundle: Path, golden: Any) -> None:
    model(bundle / "triton" / "m")
    (bundle / "triton" / "m" / "golden.json").write_text(golden if isinstance(golden, str) else json.dumps(golden))


def checked(bundle: Path, target: str = "process") -> Model:
    return check_layout(bundle, target=target).models[0]


def changed(**tensor: Any) -> dict[str, Any]:
    return {**GOLDEN, "request": {"inputs": [{**GOLDEN["request"]["inputs"][0], **tensor}]}}  # type: ignore[index]


def test_a_committed_golden_inference_is_the_model_s(tmp_path: Path) -> None:
    write_golden(tmp_path, GOLDEN)
    golden = checked(tmp_path).golden
    assert golden is not None
    assert golden.request == GOLDEN["request"]
    assert golden.response == GOLDEN["response"]
    assert (golden.relative, golden.absolute) == (1e-3, 1e-5)


@pytest.mark.parametrize(
    ("golden", "expected"),
    [
        ("{", "triton/m/golden.json:1:2: no JSON: Expecting property name enclosed in double quotes"),
        ("[]", "is a list; expected an object with request, response, tolerance"),
        (
            {**GOLDEN, "responce": {}},
            "'responce' is unknown; expected request, response, tolerance; did you mean 'response'?",
        ),
        ({"request": GOLDEN["request"]}, "response.outputs is missing; expected a list of the model's outputs; add it"),
        (changed(name="image"), "request's input 'image' is none of the model's; expected x"),
        (changed(datatype="FP64"), "request's input 'x' has the datatype \"FP64\"; expected FP32"),
        (changed(shape=[1, 3]), "request's input 'x' has the shape [1, 3]; expected [-1, 2], where -1 may be any size"),
        (changed(shape=[9, 2]), "request's input 'x' has 9 rows; expected at most max_batch_size, 4"),
        (changed(data=[1, 2, 3]), "request's input 'x' has 3 values in data; expected 2 for the shape [1, 2]"),
        (changed(data=[1, "two"]), "request's input 'x' has the value \"two\" in data; expected values of FP32"),
        ({**GOLDEN, "tolerance": {"relative": -1}}, "tolerance.relative is -1; expected a number, 0 or more"),
        (json.dumps(GOLDEN).replace("2]}", "NaN]}"), "NaN is no JSON number; expected finite numbers only"),
    ],
)
def test_a_golden_inference_that_does_not_fit_its_model_is_refused(tmp_path: Path, golden: Any, expected: str) -> None:
    write_golden(tmp_path, golden)
    with pytest.raises(LayoutError) as raised:
        checked(tmp_path)
    assert any(problem.startswith("triton/m/golden.json") for problem in raised.value.problems)
    assert expected in str(raised.value)


def test_a_derived_golden_inference_is_what_onnx_runtime_answers(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    golden = derive(tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path))
    (given,), (expected,) = golden.request["inputs"], golden.response["outputs"]
    assert given["shape"] == [1, 2]
    session = onnxruntime.InferenceSession(tmp_path / "triton" / "m" / "1" / "model.onnx")
    (answer,) = session.run(None, {"x": np.array(given["data"], np.float32).reshape(1, 2)})
    assert answer.ravel().tolist() == pytest.approx(expected["data"], rel=1e-6)
    assert all(value != 0 for value in given["data"])


def test_the_same_model_gets_the_same_golden_inference(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    file, found = tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path)
    assert derive(file, found) == derive(file, found)


def test_a_model_that_refuses_small_images_is_given_larger_ones(tmp_path: Path) -> None:
    dims: list[str | int] = ["batch", 1, "height", "width"]
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3])
    onnx_models.save(tmp_path / "triton" / "m" / "1", [node], {"x": dims}, {"y": ["batch", 1, "h", "w"]})
    golden = derive(tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path))
    assert golden.request["inputs"][0]["shape"] == [1, 1, 4, 4]


def test_a_model_that_refuses_words_is_given_digits(tmp_path: Path) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    dims = ["batch", 2]
    onnx_models.save(tmp_path / "triton" / "m" / "1", [node], {"x": dims}, {"y": dims}, x=TensorProto.STRING)
    golden = derive(tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path))
    given, answer = golden.request["inputs"][0]["data"], golden.response["outputs"][0]["data"]
    assert [float(text) for text in given] == answer


def test_a_model_of_bf16_has_a_derived_golden_inference(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    dims, half = ["batch", 4], TensorProto.BFLOAT16
    onnx_models.save(tmp_path / "triton" / "m" / "1", [node], {"x": dims}, {"y": dims}, opset=13, x=half, y=half)
    model = check_layout(tmp_path, target="docker").models[0]
    golden = derive(tmp_path / "triton" / "m" / "1" / "model.onnx", model)
    (given,), (answer,) = golden.request["inputs"], golden.response["outputs"]
    assert given["datatype"] == answer["datatype"] == "BF16"
    assert given["data"] == answer["data"]
    assert any(given["data"])
    assert golden.relative == 5e-2


def test_an_input_with_a_default_is_left_out_of_a_derived_golden_inference(tmp_path: Path) -> None:
    folder = tmp_path / "triton" / "m"
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    onnx_models.save(folder / "1", nodes, {"x": ["b", 2], "w": ["b", 2]}, {"y": ["b", 2]})
    proto = onnx.load(folder / "1" / "model.onnx")
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1, 2], [3, 4]))
    onnx.save(proto, folder / "1" / "model.onnx")
    optional = INPUT.replace('"x"', '"w"').replace("dims", "optional: true dims")
    (folder / "config.pbtxt").write_text(f"max_batch_size: 8 {INPUT} {optional} {OUTPUT}")
    golden = derive(folder / "1" / "model.onnx", checked(tmp_path))
    (given,), (answer,) = golden.request["inputs"], golden.response["outputs"]
    assert given["name"] == "x"
    assert answer["data"] == pytest.approx([3 * given["data"][0], 4 * given["data"][1]], rel=1e-6)


SEQUENCE = """sequence_batching {{
  control_input [
    {{ name: "start" control [ {{ kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] }} ] }},
    {{ name: "id" control [ {{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_{type} }} ] }}
  ]
  state [ {{ input_name: "before" output_name: "after" data_type: TYPE_FP32 dims: [ 1 ] {initial} }} ]
}}"""
ZERO = 'initial_state { name: "zero" data_type: TYPE_FP32 dims: [ 1 ] zero_data: true }'


def sequence(bundle: Path, *, initial: str, reset: bool = False) -> Model:
    """`y` = x + start + 1e-9 id + before, of which clients give x; `reset` multiplies before with 1 - start."""
    folder = bundle / "triton" / "m"
    before = "kept" if reset else "before"
    nodes = [
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Sub", ["one", "start"], ["going_on"]),
        helper.make_node("Mul", ["before", "going_on"], ["kept"]),
        helper.make_node("Cast", ["id"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["scale"], value_float=1e-9),
        helper.make_node("Mul", ["whole", "scale"], ["number"]),
        helper.make_node("Sum", ["x", "start", "number", before], ["y"]),
        helper.make_node("Identity", ["y"], ["after"]),
    ]
    dims = ["batch", 1]
    inputs = dict.fromkeys(("x", "start", "id", "before"), dims)
    onnx_models.save(folder / "1", nodes, inputs, dict.fromkeys(("y", "after"), dims), id=TensorProto.INT64)
    one = f"{INPUT} {OUTPUT}".replace("[ 2 ]", "[ 1 ]")
    (folder / "config.pbtxt").write_text(f"max_batch_size: 4 {one} {SEQUENCE.format(type='INT64', initial=initial)}")
    return checked(bundle, "docker")  # target process has no implicit state


@pytest.mark.parametrize(("initial", "reset"), [(ZERO, False), ("", True)])
def test_a_sequence_model_gets_a_sequence_of_one_request(tmp_path: Path, initial: str, reset: bool) -> None:
    golden = derive(tmp_path / "triton/m/1/model.onnx", sequence(tmp_path, initial=initial, reset=reset))
    parameters = golden.request["parameters"]
    assert (parameters["sequence_start"], parameters["sequence_end"]) == (True, True)
    (given,), (answer,) = golden.request["inputs"], golden.response["outputs"]
    assert answer["data"] == pytest.approx([given["data"][0] + 1 + 1e-9 * parameters["sequence_id"]])


def test_a_state_without_a_first_value_has_no_derived_golden_inference(tmp_path: Path) -> None:
    model = sequence(tmp_path, initial="")
    with pytest.raises(NotDerivable, match="its output 'y' depends on a state that has no initial_state"):
        derive(tmp_path / "triton" / "m" / "1" / "model.onnx", model)


def test_a_committed_golden_inference_of_a_sequence_model_names_a_sequence(tmp_path: Path) -> None:
    sequence(tmp_path, initial=ZERO)
    one = json.dumps(GOLDEN).replace("[1, 2]", "[1, 1]", 1).replace('"data": [1, 2]', '"data": [1]')
    (tmp_path / "triton" / "m" / "golden.json").write_text(one.replace("[1, 2]", "[1, 1]").replace("[2, 4]", "[2]"))
    with pytest.raises(LayoutError, match=r"request has no sequence_id, and the model has sequence_batching; expected"):
        checked(tmp_path, "docker")


def test_a_golden_inference_of_halves_holds_plain_numbers(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    dims, half = ["batch", 2], TensorProto.FLOAT16
    onnx_models.save(tmp_path / "triton" / "m" / "1", [node], {"x": dims}, {"y": dims}, x=half, y=half)
    golden = json.dumps({**GOLDEN, "tolerance": {}}).replace("FP32", "FP16")
    (tmp_path / "triton" / "m" / "golden.json").write_text(golden)
    assert checked(tmp_path).golden is not None
    (tmp_path / "triton" / "m" / "golden.json").write_text(golden.replace("[2, 4]", "[2, 70000]"))
    with pytest.raises(LayoutError, match="has the value 70000 in data; expected values of FP16"):
        checked(tmp_path)


def test_a_golden_inference_may_ask_for_classes(tmp_path: Path) -> None:
    classes = {"name": "y", "datatype": "BYTES", "shape": [1, 1], "data": ["4.000000:1:two"]}
    request = {**GOLDEN["request"], "outputs": [{"name": "y", "parameters": {"classification": 1}}]}  # type: ignore[dict-item]
    write_golden(tmp_path, {"request": request, "response": {"outputs": [classes]}})
    assert checked(tmp_path).golden is not None


def test_a_golden_inference_saved_on_windows_is_read(tmp_path: Path) -> None:
    write_golden(tmp_path, "\ufeff" + json.dumps(GOLDEN, indent=1).replace("\n", "\r\n"))
    assert checked(tmp_path).golden is not None


def test_a_model_that_answers_at_random_has_no_derived_golden_inference(tmp_path: Path) -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["y"])]
    onnx_models.save(tmp_path / "triton" / "m" / "1", nodes, {"x": ["batch", 2]}, {"y": ["batch", 2]})
    with pytest.raises(NotDerivable, match="its output 'y' is not the same twice"):
        derive(tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path))
