"""A project with nothing in it but its name, and the scripts of its stacks run on a pretended Triton."""

import io
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from rich.console import Console

from bundle.layout import check_layout
from bundle.reshaping import client_shape, model_shape
from operate.new.asked import Asked
from operate.new.writing import new

New = Callable[..., str]


def empty_project(root: Path) -> Path:
    """A project's folder without stacks."""
    (root / "stacks").mkdir(parents=True)
    (root / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\nstackConfigDir: stacks\n")
    return root


def write(project: Path, model: Path | str, name: str = "mine", **asked: str) -> str:
    """Write a new stack and give what was told; paths and names as a user gives them."""
    told = io.StringIO()
    assert new(Asked(project=project, name=name, model=str(model), **asked), Console(file=told, width=200)) == 0
    return told.getvalue()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return empty_project(tmp_path / "project")


def run_script(folder: Path, bundle: Path, request: str) -> Any:
    """Run the script of a stack on a request; ONNX Runtime answers in Triton's place."""
    client = types.ModuleType("tritonhttpclient")

    class InferInput:
        def __init__(self, name: str, shape: list[int], datatype: str) -> None:
            self.name, self.shape = name, shape

        def set_data_from_numpy(self, array: Any) -> None:
            assert list(array.shape) == self.shape
            self.array = array

    class Answer:
        def __init__(self, arrays: dict[str, Any]) -> None:
            self.arrays = arrays

        def as_numpy(self, name: str) -> Any:
            array = self.arrays[name]
            encoded = [text.encode() for text in array.ravel()] if array.dtype == np.object_ else None
            return np.array(encoded, dtype=np.object_).reshape(array.shape) if encoded is not None else array

    class InferenceServerClient:
        def __init__(self, url: str) -> None:
            assert url == "localhost:8000"

        def infer(self, model: str, inputs: list[InferInput], outputs: list[str]) -> Answer:
            (served,) = (each for each in check_layout(bundle, target="process").models if each.name == model)
            session = onnxruntime.InferenceSession(str(bundle / served.model_file), providers=["CPUExecutionProvider"])
            scalars = {value.name for value in session.get_inputs() if value.shape == []}
            given, batched = {one.name: one.array for one in inputs}, served.max_batch_size > 0
            feeds = {
                tensor.name: given[tensor.name].reshape(
                    () if tensor.name in scalars else model_shape(tensor, given[tensor.name].shape, batched=batched)
                )
                for tensor in served.inputs
            }
            arrays = {name: np.asarray(array) for name, array in zip(outputs, session.run(outputs, feeds), strict=True)}
            shapes = {t.name: client_shape(t, arrays[t.name].shape, batched=batched) for t in served.outputs}
            return Answer({name: array.reshape(shapes[name]) for name, array in arrays.items()})

    vars(client).update(
        InferInput=InferInput, InferenceServerClient=InferenceServerClient, InferRequestedOutput=lambda name: name
    )
    script = types.ModuleType("score")
    before = sys.modules.get("tritonhttpclient")
    sys.modules["tritonhttpclient"] = client
    try:
        exec(compile((folder / "score.py").read_text(encoding="utf-8"), "score.py", "exec"), vars(script))
        script.init()
        return script.run(request)
    finally:
        del sys.modules["tritonhttpclient"]
        if before is not None:
            sys.modules["tritonhttpclient"] = before
