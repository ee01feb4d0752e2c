"""Models that the check accepts: Triton serves them with the interface that the check found, and their goldens hold."""

import copy
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.http import InferInput, InferRequestedOutput

from bundle.layout import check_layout
from bundle.registry import Registered, Registry
from serving.probing.golden_check import model_problems
from serving.probing.probe import asking
from tests import onnx_models
from tests.bundle.bundles import BATCHED, CPU, INPUT, LABELLED, OUTPUT, STEP, configure, ensemble, model
from tests.triton_server import Triton, build_environment, serve

WEIGHTS = np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1)
PYTHON_MODEL = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.set_max_batch_size(0)
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [2]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [2]})
        return config

    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", 2 * values)]) for values in inputs]
"""


def nodes(*descriptions: tuple[str, list[str], list[str], dict[str, Any]]) -> list[onnx.NodeProto]:
    return [helper.make_node(kind, given, made, **attributes) for kind, given, made, attributes in descriptions]


def types(*names: str) -> Callable[[Path], None]:
    """An input and an output of each type."""
    kinds = {name: getattr(TensorProto, name) for name in names}
    graph = nodes(*(("Identity", [f"x_{name}"], [f"y_{name}"], {}) for name in kinds))
    inputs, outputs = ({f"{side}_{name}": ("batch", 2) for name in kinds} for side in "xy")
    declared = {f"{side}_{name}": kind for name, kind in kinds.items() for side in "xy"}
    return lambda folder: onnx_models.save(folder / "1", graph, inputs, outputs, **declared)


def scalars(folder: Path) -> None:
    """A scalar in, a scalar out: tensors without dimensions."""
    onnx_models.save(folder / "1", nodes(("Neg", ["x"], ["y"], {})), {"x": []}, {"y": []})


def inferred_output(folder: Path) -> None:
    """The file says [rows, columns] of an output whose shape ONNX Runtime infers from its operators."""
    graph = nodes(("Constant", [], ["shape"], {"value_ints": [-1, 4]}), ("Reshape", ["x", "shape"], ["y"], {}))
    onnx_models.save(folder / "1", graph, {"x": ["batch", 2, 2]}, {"y": ["rows", "columns"]})


def with_default(folder: Path) -> None:
    """An input that has a default in the file, as older exporters write every weight."""
    onnx_models.save(folder / "1", nodes(("Mul", ["x", "w"], ["y"], {})), {"x": ["b", 2], "w": [2]}, {"y": ["b", 2]})
    file = folder / "1" / "model.onnx"
    proto = onnx.load(file)
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [2], [3, 4]))
    onnx.save(proto, file)


def external_weights(folder: Path) -> None:
    (folder / "1").mkdir(parents=True)
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 512], [0.5] * 1024)
    graph = helper.make_graph(
        nodes(("MatMul", ["x", "w"], ["y"], {})),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 512])],
        [weights],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    onnx.save(proto, folder / "1" / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)


def in_a_folder(folder: Path) -> None:
    onnx_models.save_scaling(folder / "1" / "model.onnx", 2)


def python_model(folder: Path) -> None:
    configure(folder, f'backend: "python" {CPU}')
    (folder / "1").mkdir()
    (folder / "1" / "model.py").write_text(PYTHON_MODEL)


def two_steps(folder: Path) -> None:
    step = STEP.format(model="batching", key="x")
    first = step.replace('key: "y" value: "y"', 'key: "y" value: "between"')
    second = step.replace('key: "x" value: "x"', 'key: "x" value: "between"')
    ensemble(f"{first}, {second}")(folder)


def labels(folder: Path) -> None:
    """The class of each row, [batch], and its scores: what XGBoost, LightGBM and scikit-learn export."""
    graph = nodes(("ArgMax", ["x"], ["label"], {"axis": 1, "keepdims": 0}), ("Softmax", ["x"], ["scores"], {"axis": 1}))
    shapes = {"label": ["batch"], "scores": ["batch", 3]}
    onnx_models.save(folder / "1", graph, {"x": ["batch", 3]}, shapes, label=TensorProto.INT64)


def configured_labels(folder: Path) -> None:
    """The same, as a configuration declares it."""
    labels(folder)
    label = 'output [ { name: "label" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } } ]'
    configure(folder, f"max_batch_size: 8 {INPUT.replace('[ 2 ]', '[ 3 ]')} {label} {CPU}")


def image_classifier(folder: Path) -> None:
    """The interface of `densenet_onnx`, with and without the batch of 1 that the graph has, and labels from Windows."""
    graph = nodes(("ReduceMean", ["x"], ["mean"], {"axes": [2, 3]}), ("Mul", ["mean", "w"], ["y"], {}))
    graph.insert(0, helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(WEIGHTS)))
    onnx_models.save(folder / "1", graph, {"x": [1, 3, 8, 8]}, {"y": [1, 3, 1, 1]})
    given = INPUT.replace("[ 2 ]", "[ 3, 8, 8 ] reshape { shape: [ 1, 3, 8, 8 ] } format: FORMAT_NCHW")
    made = LABELLED.replace("[ 2 ]", "[ 3 ] reshape { shape: [ 1, 3, 1, 1 ] }")
    configure(folder, f"max_batch_size: 0 {given} {made} {CPU}")
    (folder / "names.txt").write_bytes("\ufeffcat\r\nchat égyptien\r\nmug\r\n".encode())


def varying_reshape(folder: Path) -> None:
    """Dimensions that vary, reshaped on both sides, in batches."""
    onnx_models.save(folder / "1", nodes(("Neg", ["x"], ["y"], {})), {"x": ["b", "n", 1]}, {"y": ["b", "n", 1]})
    given, made = (t.replace("[ 2 ]", "[ -1 ] reshape { shape: [ -1, 1 ] }") for t in (INPUT, OUTPUT))
    configure(folder, f"max_batch_size: 8 {given} {made} {CPU}")


def sequence(folder: Path) -> None:
    """`sequence_batching` without control inputs: a request needs a correlation id."""
    model(folder, f"{BATCHED} sequence_batching {{ max_sequence_idle_microseconds: 1000000 }} {CPU}")


def unlike_batches(folder: Path) -> None:
    """Inputs whose first dimensions are not the same, the words of a text and of a question, say."""
    graph = nodes(("ReduceMean", ["x"], ["mean"], {"axes": [0]}), ("Mul", ["table", "mean"], ["y"], {}))
    onnx_models.save(folder / "1", graph, {"x": ["words", 2], "table": [3, 2]}, {"y": [3, 2]})


UNBATCHED = BATCHED.replace("8", "0").replace("[ 2 ]", "[ -1, 2 ]")


def configured(config: str) -> Callable[[Path], None]:
    return lambda folder: model(folder, f"{config} {CPU}")


GOOD: dict[str, Callable[[Path], None]] = {
    "batching": model,
    "scalars": scalars,
    "inferred_output": inferred_output,
    "with_default": with_default,
    "external_weights": external_weights,
    "in_a_folder": in_a_folder,
    "python_model": python_model,
    "two_steps": two_steps,
    "numbers": types("BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FLOAT", "DOUBLE"),
    "halves": types("FLOAT16"),
    "text": types("STRING"),
    "labels": labels,
    "configured_labels": configured_labels,
    "image_classifier": image_classifier,
    "varying_reshape": varying_reshape,
    "sequence": sequence,
    "unlike_batches": unlike_batches,
    "only_input_configured": configured(INPUT),
    "one_size_of_many": configured(UNBATCHED.replace("-1", "3", 1)),
    "reshaped": configured(BATCHED.replace("dims: [ 2 ]", "dims: [ 2, 1 ] reshape: { shape: [ 2 ] }")),
}
UNDERIVABLE = {
    "python_model": "one is derived for ONNX models only",
    "two_steps": "one is derived for ONNX models only",
}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """The good models, checked and registered as one bundle."""
    folder = tmp_path_factory.mktemp("good")
    for name, build in GOOD.items():
        build(folder / "bundle" / "triton" / name)
        if not (folder / "bundle" / "triton" / name / "config.pbtxt").exists():
            configure(folder / "bundle" / "triton" / name, CPU)
    registry = Registry(os.fspath(folder / "registry"))
    return registry.register("good", check_layout(folder / "bundle", target="process"))


@pytest.fixture(scope="module")
def triton(registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    folder = tmp_path_factory.mktemp("triton")
    with serve(build_environment(), Path(registered.path), folder) as server:
        yield server


def declared(registered: Registered, name: str) -> dict[str, Any]:
    return next(dict(found) for found in registered.models if found["name"] == name)


@pytest.mark.parametrize("name", GOOD)
def test_triton_serves_the_interface_that_the_check_found(registered: Registered, triton: Triton, name: str) -> None:
    found = declared(registered, name)
    assert triton.index()[name, "1"]["state"] == "READY", triton.index()[name, "1"]
    metadata = triton.get(f"models/{name}")
    assert metadata["platform"] == (found["platform"] or found["backend"])
    if name == "python_model":  # only the running model tells its interface
        return
    assert triton.get(f"models/{name}/config")["max_batch_size"] == found["maxBatchSize"]
    for kind in ("inputs", "outputs"):
        assert [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in metadata[kind]] == [
            (tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in found[kind]
        ]


@pytest.mark.parametrize("name", [name for name in GOOD if name not in UNDERIVABLE])
def test_a_derived_golden_inference_holds_on_triton(registered: Registered, triton: Triton, name: str) -> None:
    found = declared(registered, name)
    assert found["golden"], found["goldenReason"]
    found["version"] = 1
    assert model_problems(asking(triton.url, 60), triton.url, found) == []
    wrong = copy.deepcopy(found)
    wrong["golden"]["response"]["outputs"][0]["data"][0] = "another"
    (problem,) = model_problems(asking(triton.url, 60), triton.url, wrong)
    assert "value 0: expected 'another'" in problem.text


def test_labels_from_windows_are_those_of_the_file(registered: Registered, triton: Triton) -> None:
    with triton.client() as client:
        tensor = InferInput("x", [3, 8, 8], "FP32")
        tensor.set_data_from_numpy(np.ones((3, 8, 8), np.float32))
        answer = client.infer("image_classifier", [tensor], outputs=[InferRequestedOutput("y", class_count=3)])
    classes = [text.decode().split(":") for text in answer.as_numpy("y")]
    assert [label for *_, label in classes] == ["mug", "chat égyptien", "cat"]


def test_classes_are_asked_for_by_a_golden_inference(registered: Registered, triton: Triton) -> None:
    found = {**declared(registered, "image_classifier"), "version": 1}
    request = {**found["golden"]["request"], "outputs": [{"name": "y", "parameters": {"classification": 1}}]}
    score = max(found["golden"]["response"]["outputs"][0]["data"])
    for label, right in (("mug", True), ("cup", False)):
        classes = {"name": "y", "datatype": "BYTES", "shape": [1], "data": [f"{score}:2:{label}"]}
        golden = {**found["golden"], "request": request, "response": {"outputs": [classes]}}
        assert (model_problems(asking(triton.url, 60), triton.url, {**found, "golden": golden}) == []) is right


def test_sequences_of_golden_inferences_end(registered: Registered, triton: Triton) -> None:
    """More of them at once than the batcher has room for: none waits for another's end."""
    found = {**declared(registered, "sequence"), "version": 1}
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(model_problems, asking(triton.url, 60), triton.url, found) for _ in range(32)]
    assert [problem for one in asked for problem in one.result()] == []


def test_a_model_without_a_derived_golden_inference_says_why(registered: Registered) -> None:
    without = {found["name"]: found["goldenReason"] for found in registered.models if not found["golden"]}
    assert set(without) == set(UNDERIVABLE)
    for name, reason in UNDERIVABLE.items():
        assert reason in without[name]


def test_a_model_in_python_is_served(triton: Triton) -> None:
    assert triton.infer("python_model", x=("FP32", [2], [1, 2])).json()["outputs"][0]["data"] == [2, 4]


def test_an_ensemble_passes_tensors_from_step_to_step(triton: Triton) -> None:
    answer = triton.infer("two_steps", x=("FP32", [1, 2], [1, 2]))
    assert isinstance(answer, httpx.Response)
    assert answer.json()["outputs"][0]["data"] == [4, 8]
