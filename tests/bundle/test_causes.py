"""What keeps single models from being served, told before they are, each with its cause and advice that fits it."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bundle.layout import check_layout
from bundle.onnx_session import LoadError
from bundle.problems import LayoutError
from bundle.python_model import PythonModelError, read_python_model
from bundle.registry import Registry
from tests import onnx_models
from tests.bundle.bundles import BATCHED, STEP, configure, ensemble, model, python_file


def problems(path: Path, target: str = "process") -> tuple[str, ...]:
    with pytest.raises(LayoutError) as raised:
        check_layout(path, target=target)
    return raised.value.problems


def save_external(file: Path, *, constant: bool) -> None:
    """y [batch, 2] = x [batch, 2] times weights in `w.data`, an initializer or a constant in a branch of its own."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], b"\0" * 16, raw=True)
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    if constant:
        branches = {
            f"{name}_branch": helper.make_graph(
                [helper.make_node("Constant", [], [name], value=weights)],
                name,
                [],
                [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2])],
            )
            for name in ("then", "else")
        }
        yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
        nodes = [yes, helper.make_node("If", ["yes"], ["w"], **branches), *nodes]
    graph = helper.make_graph(nodes, "test", *([tensor] for tensor in tensors), [] if constant else [weights])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, file, save_as_external_data=True, location="w.data", size_threshold=0, convert_attribute=constant)


@pytest.mark.parametrize("constant", [False, True])
def test_weights_that_are_missing_are_told_wherever_the_graph_holds_them(tmp_path: Path, *, constant: bool) -> None:
    version = tmp_path / "triton" / "m" / "1"
    save_external(version / "model.onnx", constant=constant)
    assert check_layout(tmp_path, target="process").models
    (version / "w.data").unlink()
    told = ("triton/m/1/model.onnx: has weights in 'w.data', which is missing; copy it beside the model file",)
    assert problems(tmp_path) == problems(tmp_path, "docker") == told


def test_weights_linked_from_another_version_are_registered_as_content(tmp_path: Path) -> None:
    folder = tmp_path / "bundle" / "triton" / "m"
    for version in ("1", "2"):
        save_external(folder / version / "model.onnx", constant=False)
    (folder / "2" / "w.data").unlink()
    (folder / "2" / "w.data").symlink_to("../1/w.data")
    bundle = check_layout(tmp_path / "bundle", target="process")
    registered = Registry(str(tmp_path / "registry")).register("m", bundle)
    held = Path(registered.path) / "triton" / "m" / "2" / "w.data"
    assert held.read_bytes() == (folder / "1" / "w.data").read_bytes()
    assert not held.is_symlink()


def test_weights_outside_the_folder_by_the_graph_s_own_words_are_refused(tmp_path: Path) -> None:
    version = tmp_path / "triton" / "m" / "1"
    save_external(version / "model.onnx", constant=False)
    proto = onnx.load(version / "model.onnx", load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = "../w.data"
    (version / "model.onnx").write_bytes(proto.SerializeToString())
    assert "has weights in '../w.data', outside its folder" in problems(tmp_path)[0]


def test_the_runtime_s_words_are_told_in_full_and_advice_only_where_it_fits(tmp_path: Path) -> None:
    """A text model asks for a locale that no machine has: the point comes after 300 characters."""
    node = helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_XX.UTF-8")
    text = {"x": TensorProto.STRING, "y": TensorProto.STRING}
    onnx_models.save(tmp_path / "triton" / "m" / "1", [node], {"x": [2]}, {"y": [2]}, **text)
    (line,) = problems(tmp_path)
    assert "Failed to construct locale with name:xx_XX.UTF-8" in line
    assert line.endswith("; install that locale on the machine that serves (Debian, Ubuntu: locales)")
    assert "opset" not in line


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Fatal error: com.microsoft:Mystery(-1) is not a registered function/op", "operators that ONNX Runtime has"),
        ("Unsupported model IR version: 13, max supported IR version: 11", "export it for an older opset"),
        ("Load model from m.onnx failed: Deserialize tensor w failed", ""),
    ],
)
def test_advice_follows_a_known_cause_alone(words: str, advice: str) -> None:
    given = LoadError(words).advice
    assert advice in given
    assert bool(given) == bool(advice)


def warmed(warmup: str) -> str:
    return f'{BATCHED} model_warmup [ {{ name: "w" {warmup} }} ]'


ZEROS = 'inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 2 ] zero_data: true } }'


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (warmed(f"batch_size: 16 {ZEROS}"), "has batch_size 16, expected at most 8, as max_batch_size is 8; lower it"),
        (warmed(f"batch_size: 1 {ZEROS.replace('[ 2 ]', '[ -1 ]')}"), "expected a number for each that varies"),
        (warmed(f"batch_size: 1 {ZEROS.replace('zero_data: true', '')}"), "gives 'x' no data; expected zero_data"),
        (warmed(f"batch_size: 1 {ZEROS.replace('FP32', 'INT8')}"), "the data_type TYPE_INT8, expected TYPE_FP32"),
        (warmed(f"batch_size: 1 {ZEROS.replace('[ 2 ]', '[ 3 ]')}"), "gives 'x' dims [3], expected [2]"),
        (warmed("batch_size: 1"), "lacks the input 'x'; add it"),
    ],
)
def test_a_warmup_that_would_end_triton_is_refused(tmp_path: Path, config: str, expected: str) -> None:
    model(tmp_path / "triton" / "m", config)
    (line,) = problems(tmp_path)
    assert line.startswith("triton/m/config.pbtxt: model_warmup 'w' ")
    assert expected in line


@pytest.mark.parametrize("config", [warmed(f"batch_size: 8 {ZEROS}"), warmed("batch_size: 0")])
def test_a_warmup_that_triton_runs_or_skips_is_taken(tmp_path: Path, config: str) -> None:
    model(tmp_path / "triton" / "m", config)
    assert check_layout(tmp_path, target="process").models


def test_one_value_may_have_no_shape_where_the_configuration_says_so(tmp_path: Path) -> None:
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "test", *([tensor] for tensor in tensors))
    folder = tmp_path / "triton" / "m"
    configure(folder, BATCHED.replace("max_batch_size: 8", "").replace("[ 2 ]", "[ 1 ]"))
    (folder / "1").mkdir()
    opset = helper.make_opsetid("", 13)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "1" / "model.onnx")
    assert check_layout(tmp_path, target="process").models


@pytest.mark.parametrize("target", ["docker", "node-pool"])
def test_types_that_only_nvidia_s_backend_has_are_taken_where_it_serves(tmp_path: Path, target: str) -> None:
    kinds = dict.fromkeys("xy", TensorProto.BFLOAT16)
    node = helper.make_node("Identity", ["x"], ["y"])
    onnx_models.save(tmp_path / "triton" / "m" / "1", [node], {"x": ["b", 2]}, {"y": ["b", 2]}, **kinds)
    assert check_layout(tmp_path, target=target).models[0].inputs[0].datatype == "BF16"
    assert "'x' is BF16" in problems(tmp_path)[0]


PART = 'output [ { name: "y" data_type: TYPE_FP32 } ]'


def python(folder: Path) -> None:
    configure(folder, f'backend: "python" {PART}')
    (folder / "1").mkdir()
    (folder / "1" / "model.py").write_text(
        "class TritonPythonModel:\n    @staticmethod\n    def auto_complete_config(config):\n        return config\n"
    )


def tensorrt(folder: Path) -> None:
    configure(folder, f'platform: "tensorrt_plan" {PART}')
    (folder / "1").mkdir()
    (folder / "1" / "model.plan").write_bytes(b"plan")


@pytest.mark.parametrize("build", [python, tensorrt])
def test_what_its_backend_completes_may_be_left_out(tmp_path: Path, build: Callable[[Path], None]) -> None:
    build(tmp_path / "triton" / "m")
    (found,) = check_layout(tmp_path, target="docker").models
    assert (found.inputs, found.outputs) == ((), ())  # only the loaded model tells them


def test_a_model_s_name_may_name_its_backend(tmp_path: Path) -> None:
    (tmp_path / "triton" / "m.identity" / "1").mkdir(parents=True)
    assert check_layout(tmp_path, target="docker").models[0].backend == "identity"


def test_a_model_in_python_is_judged_by_no_older_python_than_serves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path / "triton" / "m", 'backend: "python"')
    (tmp_path / "triton" / "m" / "1").mkdir()
    (tmp_path / "triton" / "m" / "1" / "model.py").write_text("class TritonPythonModel: ...\nnew syntax\n")
    monkeypatch.setattr("bundle.python_model.NEWEST", (99, 0))
    assert "does not compile" in problems(tmp_path)[0]
    (note,) = check_layout(tmp_path, target="docker").notes
    assert note.startswith("triton/m/1/model.py: does not compile: line 2: ")


@pytest.mark.parametrize(
    "source",
    [
        "from models import Model as TritonPythonModel",
        "from models import *",
        "import models\nTritonPythonModel = models.Model",
        "try:\n    from a import TritonPythonModel\nexcept ImportError: ...",
        "globals()['TritonPythonModel'] = object",
        "# -*- coding: latin-1 -*-\n# \u00e9\nclass TritonPythonModel: ...",
    ],
)
def test_a_class_may_get_its_name_in_any_way(tmp_path: Path, source: str) -> None:
    (tmp_path / "model.py").write_bytes(source.encode("latin-1"))
    assert read_python_model(tmp_path / "model.py", "process")


@pytest.mark.parametrize("source", [b"x = (", b"return 1\nclass TritonPythonModel: ...", b"\0", b"\xff = 1"])
def test_what_does_not_compile_is_told_in_one_line(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "model.py").write_bytes(source)
    with pytest.raises(PythonModelError, match=r"\Adoes not compile: .*; mend it\Z"):
        read_python_model(tmp_path / "model.py", "process")


def test_ensembles_that_are_steps_of_each_other_are_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        ensemble(STEP.format(model=other, key="x"))(tmp_path / "triton" / name)
    assert [line.partition(";")[0] for line in problems(tmp_path)] == [
        "triton/a/config.pbtxt: this ensemble is a step of b, and that of it",
        "triton/b/config.pbtxt: this ensemble is a step of a, and that of it",
    ]


def test_tensors_of_different_decoupled_steps_must_not_meet(tmp_path: Path) -> None:
    outputs = ", ".join(f'{{ name: "{name}" data_type: TYPE_FP32 dims: [ 2 ] }}' for name in "yz")
    tensors = f'max_batch_size: 8 input [ {{ name: "x" data_type: TYPE_FP32 dims: [ 2 ] }} ] output [ {outputs} ]'
    many = tmp_path / "triton" / "many"
    configure(many, f'backend: "python" model_transaction_policy {{ decoupled: true }} {BATCHED}')
    (many / "1").mkdir()
    python_file(many / "1")
    one = STEP.format(model="many", key="x")
    other = one.replace('value: "y"', 'value: "z"')
    ensemble(f"{one}, {other}", tensors)(tmp_path / "triton" / "both")
    (line,) = problems(tmp_path)
    assert line.startswith(
        "triton/both/config.pbtxt: tensors of step 1 ('many'), step 2 ('many') meet in its outputs; expected one origin"
    )
