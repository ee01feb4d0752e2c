"""Write a model's files into the repository: the ONNX graph, the golden inference, labels and the configuration.

Each file depends on the arguments alone, so training again gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

PROJECT = Path(__file__).resolve().parents[2]
REPOSITORY = PROJECT / "model_repository" / "triton"
EXAMPLE_DATA = PROJECT / "examples" / "data"
PHOTOGRAPHS = PROJECT / "examples" / "scripts" / "photographs"

# Every Triton since 20.09 has an ONNX Runtime that reads these.
OPSETS = [helper.make_opsetid("", 12), helper.make_opsetid("ai.onnx.ml", 2)]
IR_VERSION = 7

DATATYPES = {"float32": "FP32", "int64": "INT64", "int32": "INT32", "object": "BYTES"}


def make_model(graph: onnx.GraphProto, description: str) -> onnx.ModelProto:
    """Make the ONNX model of a graph, for the opsets and the file format above."""
    proto = helper.make_model(graph, opset_imports=OPSETS, producer_name="training", doc_string=description)
    proto.ir_version = IR_VERSION
    return proto


def save_model(model: str, graph: onnx.GraphProto, description: str) -> Path:
    """Check `graph`, write it as version 1 of `model`, and return the file."""
    proto = make_model(graph, description)
    onnx.checker.check_model(proto, full_check=True)
    path = REPOSITORY / model / "1" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return path


def save_text(model: str, name: str, text: str) -> None:
    """Write a file of `model` beside its versions, such as `config.pbtxt`."""
    (REPOSITORY / model / name).write_text(text, encoding="utf-8")


def save_golden(
    model: str,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    outputs: Mapping[str, np.ndarray[Any, Any]],
    *,
    relative: float = 1e-4,
    absolute: float = 1e-5,
) -> None:
    """Write `golden.json`: a request to `/v2/models/<model>/infer`, its expected outputs, and the tolerance."""
    given, expected = (
        ",\n".join(json.dumps(_tensor(name, values)) for name, values in tensors.items())
        for tensors in (inputs, outputs)
    )
    tolerance = json.dumps({"relative": relative, "absolute": absolute})
    text = (
        f'{{"request": {{"inputs": [\n{given}\n]}},\n'
        f'"response": {{"outputs": [\n{expected}\n]}},\n'
        f'"tolerance": {tolerance}}}\n'
    )
    save_text(model, "golden.json", text)


def save_rows(name: str, about: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `examples/data/<name>`: a description of the samples, and the samples, one a line."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    EXAMPLE_DATA.mkdir(parents=True, exist_ok=True)
    text = f'{{"about": {json.dumps(about)},\n"samples": [\n{lines}\n]}}\n'
    (EXAMPLE_DATA / name).write_text(text, encoding="utf-8")


def float_tensor(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    """Declare a float32 input or output; a dimension with a name varies."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def constant(name: str, values: Any) -> onnx.TensorProto:
    """Make a constant of the graph, with the array's element type."""
    return onnx.numpy_helper.from_array(np.asarray(values), name)


def _tensor(name: str, values: np.ndarray[Any, Any]) -> dict[str, Any]:
    datatype = DATATYPES[values.dtype.name]
    data = [round(float(value), 7) for value in values.ravel()] if datatype == "FP32" else values.ravel().tolist()
    return {"name": name, "shape": list(values.shape), "datatype": datatype, "data": data}
