"""Mistakes of models and of the places where they are kept, as far as the target decides about them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from bundle.layout import check_layout
from bundle.registry import Registry
from settings.rules import gpus
from tests import onnx_models
from tests.settings.conftest import Check


@pytest.mark.parametrize("character", [*" $;'\"&|<>?#%*!~()[]{}=+@,:^`", "\u00e8"])
def test_a_path_that_reaches_a_shell_has_plain_characters_alone(mistakes: Check, project: Path, character: str) -> None:
    odd = f"odd{character}folder"
    told = mistakes({"stateDirectory": odd, "registry": f"{odd}/registry"})
    assert told == [
        f"{setting} has the value {value!r}: its path, PROJECT/{value}, reaches a shell in Triton's Python backend; "
        "expected letters of ASCII, digits, '.', '_', '-' and '/' alone; name a folder elsewhere"
        for setting, value in (("stateDirectory", odd), ("registry", f"{odd}/registry"))
    ]
    script_alone = {"models": [{"path": "scripts", "name": "a", "framework": "Custom"}]}
    assert mistakes({"stateDirectory": odd, **script_alone}) == []


def test_a_model_that_is_too_new_for_its_target_is_told_at_preview(mistakes: Check, project: Path) -> None:
    folder = project / "new" / "triton" / "m"
    onnx_models.save_scaling(folder / "1", 2)
    proto = onnx.load(folder / "1" / "model.onnx")
    proto.ir_version = 11
    onnx.save(proto, folder / "1" / "model.onnx")
    models = {"models": [{"path": "new", "name": "new"}]}
    assert mistakes(models) == []
    docker = {**models, "deployment": {"target": "docker"}}
    (told,) = mistakes(docker)
    assert "has opset 12 and IR version 11; ONNX Runtime 1.20 of tritonserver:24.12-py3 takes up to" in told
    for image in ("nvcr.io/nvidia/tritonserver:25.12-py3", "registry.example.com/my/triton:latest"):
        assert mistakes({**docker, "image": {"baseImage": image}}) == []


def test_a_registered_version_is_checked_for_the_target_that_serves_it(mistakes: Check, project: Path) -> None:
    folder = project / "halves" / "triton" / "m" / "1"
    kinds = dict.fromkeys("xy", onnx.TensorProto.BFLOAT16)
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    onnx_models.save(folder, [node], {"x": ["b", 2]}, {"y": ["b", 2]}, **kinds)
    registry = Registry(str(project / ".var" / "registry"))
    registry.register("halves", check_layout(project / "halves", target="docker"), framework="Multi")
    told = mistakes({"models": ["halves:1"]})
    assert [line.partition("model.onnx: ")[2][:11] for line in told] == ["'x' is BF16", "'y' is BF16"]
    assert told[0].startswith("models[0] has the value 'halves:1': triton/m/1/model.onnx: ")
    assert mistakes({"models": ["halves:1"], "deployment": {"target": "docker"}}) == []


@pytest.mark.parametrize("committed", [True, False])
def test_a_golden_inference_that_is_too_large_for_the_front_door_is_told(
    mistakes: Check, project: Path, committed: bool
) -> None:
    folder = project / "models" / "triton" / "wide"
    dims = ("batch", 700_000)
    onnx_models.save_scaling(folder / "1", 2, dims)
    if committed:
        request = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, dims[1]], "data": [0] * dims[1]}]}
        response = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, dims[1]], "data": [0] * dims[1]}]}
        (folder / "golden.json").write_text(json.dumps({"request": request, "response": response}))
    assert mistakes({"deployment": {"maxRequestMegabytes": 1}}) == [
        "deployment.maxRequestMegabytes has the value 1: the golden inference of 'wide' has some 2.0 MB, and the check "
        "after a deployment sends it through the front door; expected 3 or more"
    ]
    assert mistakes({}) == []


def test_a_registered_model_that_the_target_cannot_serve_is_told(mistakes: Check, project: Path) -> None:
    saved = project / "tf" / "triton" / "m" / "1" / "model.savedmodel"
    saved.mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"x")
    registry = Registry(str(project / ".var" / "registry"))
    registry.register("tf", check_layout(project / "tf", target="docker"), framework="Multi")
    assert mistakes({"models": ["tf:1"]}) == [
        "models[0] has the value 'tf:1': triton/m: target 'process' cannot serve TensorFlow models; expected a target "
        "that can: docker, node-pool; choose one, or convert the model to ONNX"
    ]
    assert mistakes({"models": ["tf:1"], "deployment": {"target": "docker"}}) == []


def test_instance_groups_fit_the_number_of_gpus(
    mistakes: Check, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "gpus", lambda: 1)
    assert mistakes({"deployment": {"gpuCores": 1}}) == []
    config = project / "models" / "triton" / "digits" / "config.pbtxt"
    config.write_text("instance_group [ { kind: KIND_CPU } ]")
    (found,) = mistakes({"deployment": {"gpuCores": 1}})
    assert found.startswith(
        "deployment.gpuCores has the value 1: no model would run on a GPU: each has KIND_CPU in its"
    )
    config.write_text("instance_group [ { kind: KIND_GPU } ]")
    assert mistakes({"deployment": {"gpuCores": 1}}) == []
    (found,) = mistakes({})
    assert "an instance_group of 'digits' has KIND_GPU, and deployment.gpuCores is 0: set that" in found
