"""Golden inferences: committed ones that fit their model or not, and those derived from an ONNX model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from bundle.derive import NotDerivable, derive
from bundle.layout import check_layout
from bundle.model import Model
from bundle.problems import LayoutError
from tests import onnx_models
from tests.bundle.bundles import model

GOLDEN = {
    "request": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
    "response": {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2, 4]}]},
    "tolerance": {"relative": 1e-3},
}


def write_golden(bundle: Path, golden: Any) -> None:
    model(bundle / "triton" / "m")
    (bundle / "triton" / "m" / "golden.json").write_text(golden if isinstance(golden, str) else json.dumps(golden))


def checked(bundle: Path) -> Model:
    return check_layout(bundle, target="process").models[0]


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


def test_a_model_of_text_has_no_derived_golden_inference(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    onnx_models.save(
        tmp_path / "triton" / "m" / "1",
        [node],
        {"x": ["batch", 2]},
        {"y": ["batch", 2]},
        x=TensorProto.STRING,
        y=TensorProto.STRING,
    )
    with pytest.raises(NotDerivable, match="the input 'x' is BYTES, not numeric"):
        derive(tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path))


def test_a_model_that_answers_at_random_has_no_derived_golden_inference(tmp_path: Path) -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["y"])]
    onnx_models.save(tmp_path / "triton" / "m" / "1", nodes, {"x": ["batch", 2]}, {"y": ["batch", 2]})
    with pytest.raises(NotDerivable, match="its output 'y' is not the same twice"):
        derive(tmp_path / "triton" / "m" / "1" / "model.onnx", checked(tmp_path))
