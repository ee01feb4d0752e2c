"""Any ONNX model that Triton serves gets a stack without mistakes and a script whose golden request is right."""

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bundle.layout import check_layout
from serving.script.answer_json import to_json
from settings.load import read_stack_file
from tests import onnx_models
from tests.operate.new.conftest import empty_project, run_script, write

TYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "half": TensorProto.FLOAT16,
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "text": TensorProto.STRING,
}
ODD = ("x", "input:0", 'quo"te', "back\\slash", "é t", '"""', "{brace}")

Tensors = Mapping[str, tuple[str, list[str | int]]]


@st.composite
def tensors(draw: st.DrawFn) -> Tensors:
    """The inputs of a model by name: type and dimensions, in which a word is a size that varies."""
    names = draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=3, unique=True))
    first: list[str | int] = draw(st.sampled_from([["batch"], [1], [3], []]))
    rest = st.lists(st.one_of(st.integers(1, 4), st.sampled_from(["long", "wide"])), max_size=3)
    return {name: (draw(st.sampled_from(sorted(TYPES))), [*first, *draw(rest)]) for name in names}


def save(folder: Path, inputs: Tensors) -> Path:
    """A model that gives each input back as an output."""
    nodes = [helper.make_node("Identity", [name], [f"{name} again"]) for name in inputs]
    types = {each: TYPES[kind] for name, (kind, _) in inputs.items() for each in (name, f"{name} again")}
    dims = {name: dims for name, (_, dims) in inputs.items()}
    onnx_models.save(folder, nodes, dims, {f"{name} again": sizes for name, sizes in dims.items()}, **types)
    return folder / "model.onnx"


def is_right(found: Any, expected: Any) -> bool:
    """Whether a script's answer is the golden one, as the probe judges it."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(is_right(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(is_right, found, expected))
    return (
        math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5) if isinstance(expected, float) else found == expected
    )


@given(tensors())
def test_stack_golden_inference_and_script_fit_the_model(inputs: Tensors) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        project = empty_project(Path(scratch) / "project")
        told = write(project, save(Path(scratch) / "given", inputs), script="1")
        settings = read_stack_file(project, "mine")  # with every rule of a preview
        (model,) = check_layout(project / "models" / "mine", target="process").models
        assert model.golden is not None, told
        assert {tensor["name"] for tensor in model.golden.request["inputs"]} == set(inputs)
        script = Path(settings.source_directory)
        compile((script / "score.py").read_text(encoding="utf-8"), "score.py", "exec")
        if any(kind == "half" for kind, _ in inputs.values()):
            assert "the script gets no golden request: it allows 1e-4 of a number" in told
            return
        golden = json.loads((script / "score.golden.json").read_text(encoding="utf-8"))
        answer = run_script(script, project / "models" / "mine", json.dumps(golden["request"]))
        assert is_right(json.loads(to_json(answer)), golden["response"])


@pytest.mark.parametrize(("least", "chosen"), [(1, 1), (4, 4), (12, 16), (33, 64), (200, 224)])
def test_a_size_that_varies_gets_one_that_the_model_takes(tmp_path: Path, least: int, chosen: int) -> None:
    project = empty_project(tmp_path / "project")
    kernel = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, least, 1], [1.0] * least)
    nodes = [helper.make_node("Constant", [], ["w"], value=kernel), helper.make_node("Conv", ["x", "w"], ["y"])]
    onnx_models.save(tmp_path, nodes, {"x": ["n", 1, "high", "wide"]}, {"y": ["n", 1, "h", "w2"]})
    write(project, tmp_path / "model.onnx")
    golden = json.loads((project / "models/mine/triton/mine/golden.json").read_text())
    assert golden["request"]["inputs"][0]["shape"] == [1, 1, chosen, chosen]


def test_weights_beside_the_file_come_along(tmp_path: Path) -> None:
    project = empty_project(tmp_path / "project")
    weights = helper.make_tensor("w", TensorProto.FLOAT, [512], b"\0\0\0@" * 512, raw=True)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 512])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.weights", size_threshold=0)
    write(project, tmp_path / "net.onnx")
    assert sorted(file.name for file in (project / "models/mine/triton/net/1").iterdir()) == [
        "model.onnx",
        "net.weights",
    ]
