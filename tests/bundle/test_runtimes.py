"""What a target's ONNX Runtime and release of Triton take: told at preview, in one line that names what would do."""

import itertools
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest
from onnx import helper
from tritonclient.grpc import model_config_pb2

from bundle.layout import check_layout
from bundle.onnx_session import LoadError, load_session
from bundle.problems import LayoutError
from bundle.runtimes import LIMITS, RELEASES, Runtime
from environment.curated_clone import Environment
from tests.bundle.bundles import BATCHED, model

HERE = ".".join(version("onnxruntime").split(".")[:2])
OLD = Runtime.of_release("tritonserver:24.12-py3", "24.12")


def save(file: Path, *, opset: int, ir: int, ml: int = 0) -> Path:
    tensors = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "test", *([tensor] for tensor in tensors))
    domains = [("", opset), *([("ai.onnx.ml", ml)] if ml else [])]
    opsets = [helper.make_opsetid(domain, number) for domain, number in domains]
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=ir), file)
    return file


def loads(file: Path) -> bool:
    try:
        load_session(file)
    except LoadError:
        return False
    return True


def told(bundle: Path, target: str, runtime: Runtime) -> str:
    with pytest.raises(LayoutError) as raised:
        check_layout(bundle, target=target, runtime=runtime)
    (line,) = raised.value.problems
    return line


def test_the_limits_are_those_of_the_runtime_itself(tmp_path: Path) -> None:
    opset, ir, ml = LIMITS[HERE]
    at_most = {"opset": opset, "ir": ir, "ml": ml}
    assert loads(save(tmp_path / "limit.onnx", **at_most))
    assert not loads(save(tmp_path / "opset.onnx", **{**at_most, "opset": opset + 1}))
    assert not loads(save(tmp_path / "ir.onnx", **{**at_most, "ir": ir + 1}))


def test_later_runtimes_take_no_less() -> None:
    limits = list(LIMITS.values())
    for earlier, later in itertools.pairwise(limits):
        assert all(a <= b for a, b in zip(earlier, later, strict=True))
    assert LIMITS.keys() == RELEASES.keys()
    releases = [release for held in RELEASES.values() for release in held]
    assert releases == sorted(set(releases))


def test_the_curated_environment_s_runtimes_are_known() -> None:
    curated = Environment.get("AzureML-Triton").curated
    assert Runtime.of_release("", curated.image.release).onnx_runtime in LIMITS
    assert f"onnxruntime=={version('onnxruntime')}" in curated.wheel.packages.cpu


def test_a_newer_opset_is_told_with_the_highest_that_is_taken_and_the_release_that_takes_it(tmp_path: Path) -> None:
    save(tmp_path / "triton" / "m" / "1" / "model.onnx", opset=22, ir=10)
    assert told(tmp_path, "docker", OLD) == (
        "triton/m/1/model.onnx: has opset 22 and IR version 10; ONNX Runtime 1.20 of tritonserver:24.12-py3 takes up "
        "to opset 21 and IR version 10; export it for opset 21 (the exporters' target_opset or opset_version), or "
        "serve it from an image of release 25.03 or later (ONNX Runtime 1.21) on target docker or node-pool"
    )
    new = Runtime.of_release("tritonserver:25.05-py3", "25.05")
    assert check_layout(tmp_path, target="docker", runtime=new).models


def test_a_file_that_is_newer_than_its_operators_is_taken_once_it_says_so(tmp_path: Path) -> None:
    file = save(tmp_path / "triton" / "m" / "1" / "model.onnx", opset=17, ir=11)
    assert "load it with onnx, set ir_version = 10, and save it" in told(tmp_path, "docker", OLD)
    proto = onnx.load(file)
    proto.ir_version = 10
    onnx.save(proto, file)
    assert check_layout(tmp_path, target="docker", runtime=OLD).models


def test_what_no_release_takes_names_none(tmp_path: Path) -> None:
    save(tmp_path / "triton" / "m" / "1" / "model.onnx", opset=99, ir=10)
    assert told(tmp_path, "docker", OLD).endswith("opset_version)")


def test_an_image_of_one_s_own_is_not_judged(tmp_path: Path) -> None:
    save(tmp_path / "triton" / "m" / "1" / "model.onnx", opset=22, ir=10)
    assert check_layout(tmp_path, target="docker").models


def test_a_field_that_the_release_does_not_know_is_told(tmp_path: Path) -> None:
    family = (
        'model_metrics { metric_control: [ { metric_identifier { family: "f" } histogram_options { buckets: 1 } } ] }'
    )
    model(tmp_path / "triton" / "m", f"{BATCHED} {family}")
    wheel = Runtime("target 'process'", "24.10")
    assert told(tmp_path, "process", wheel) == (
        "triton/m/config.pbtxt: model_metrics is known to Triton from release 24.12 on, and target 'process' is of "
        "24.10; remove it"
    )
    assert list(OLD.config_problems(model_config_pb2.ModelConfig(), "c")) == []
    assert check_layout(tmp_path, target="docker", runtime=OLD).models
