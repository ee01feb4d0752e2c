"""Read an ONNX graph's interface from its file, without weights that lie in other files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from bundle.bundle_types import ANY_SIZE

# As in OnnxDataTypeToModelConfigDataType of Triton's onnxruntime backend.
DATATYPES: dict[int, str] = {
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.UINT16: "UINT16",
    onnx.TensorProto.UINT32: "UINT32",
    onnx.TensorProto.UINT64: "UINT64",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT16: "INT16",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
    onnx.TensorProto.BFLOAT16: "BF16",
    onnx.TensorProto.STRING: "BYTES",
}

_LFS_POINTER = b"version https://git-lfs"
_SHAPING_BYTES = 4096
"""Shape inference gets initializers up to this size: shapes are computed from small ones only."""


class GraphError(ValueError):
    """An ONNX file does not load; the caller puts the file's name before the message."""


@dataclass(frozen=True)
class GraphTensor:
    """An input or output of a graph; `shape` has -1 for a dimension that varies, and is None for an unknown rank."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Graph:
    """The interface of an ONNX graph.

    Attributes:
        inputs: The inputs that a request must give.
        outputs: The outputs.
        initializers: The inputs that have a default in the file.
        unsupported: A line for each input or output that Triton cannot serve, because of its type or shape.
        opset: The version of ONNX's operators.
        ml_opset: The version of the operators of ai.onnx.ml.
        ir: The version of the file format.
    """

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    initializers: tuple[GraphTensor, ...]
    unsupported: tuple[str, ...]
    opset: int = 0
    ml_opset: int = 0
    ir: int = 0

    @property
    def batches(self) -> bool:
        """Tell whether the first dimension of all inputs and outputs varies, so that Triton can batch requests."""
        tensors = (*self.inputs, *self.outputs)
        return bool(tensors) and all(tensor.shape and tensor.shape[0] == ANY_SIZE for tensor in tensors)


def read_graph(path: Path) -> Graph:
    """Read the interface of the ONNX model in a file.

    Raises:
        GraphError: The file is empty, truncated or no ONNX, or a file with its weights is missing or too short.
    """
    size = path.stat().st_size
    if size == 0:
        raise GraphError("is empty; expected an ONNX model; export or copy it again")
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise GraphError("is a Git LFS pointer, not the model; run 'git lfs pull'")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        raise GraphError(f"is truncated or no ONNX model ({size} bytes); export or copy it again") from None
    if not model.HasField("graph") or not model.graph.output or not model.opset_import or not model.ir_version:
        raise GraphError(
            f"is truncated or no ONNX model ({size} bytes): no graph, outputs or opset in it; export or copy it again"
        )
    for problem in _external_problems(model, path.parent):
        raise GraphError(problem)
    return _interface(model)


def _interface(model: onnx.ModelProto) -> Graph:
    defaults = {tensor.name for tensor in model.graph.initializer}
    defaults.update(tensor.values.name for tensor in model.graph.sparse_initializer)
    outputs = list(model.graph.output)
    if any(ANY_SIZE in (_shape(value) or (ANY_SIZE,)) for value in outputs if value.type.HasField("tensor_type")):
        # ONNX Runtime infers shapes when it loads a model, and compares the configuration with what it infers.
        outputs = _inferred_outputs(model)
    values = [(value, "input") for value in model.graph.input] + [(value, "output") for value in outputs]
    unsupported = tuple(problem for value, kind in values for problem in _unsupported(value, kind))
    return Graph(
        inputs=tuple(_tensor(value) for value in model.graph.input if value.name not in defaults),
        outputs=tuple(_tensor(value) for value in outputs),
        initializers=tuple(_tensor(value) for value in model.graph.input if value.name in defaults),
        unsupported=unsupported,
        opset=_opset(model, "", "ai.onnx"),
        ml_opset=_opset(model, "ai.onnx.ml"),
        ir=model.ir_version,
    )


def _opset(model: onnx.ModelProto, *domains: str) -> int:
    return max((opset.version for opset in model.opset_import if opset.domain in domains), default=0)


def _tensor(value: onnx.ValueInfoProto) -> GraphTensor:
    return GraphTensor(value.name, DATATYPES.get(value.type.tensor_type.elem_type, ""), _shape(value))


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else ANY_SIZE for dim in tensor.shape.dim
    )


def _unsupported(value: onnx.ValueInfoProto, kind: str) -> Iterator[str]:
    form = value.type.WhichOneof("value")
    if form != "tensor_type":
        shape = str(form or "nothing").removesuffix("_type")
        hint = "; export a scikit-learn classifier with the option zipmap=False" if form == "sequence_type" else ""
        yield f"{kind} '{value.name}' is a {shape}; expected a tensor, all that Triton serves{hint}"
    elif value.type.tensor_type.elem_type not in DATATYPES:
        number = value.type.tensor_type.elem_type
        known = {named.number: name for name, named in onnx.TensorProto.DataType.DESCRIPTOR.values_by_name.items()}
        name = known.get(number, f"number {number}")
        yield f"{kind} '{value.name}' has the type {name}, which Triton does not serve; convert it in the graph"
    elif 0 in (_shape(value) or ()):
        yield (
            f"{kind} '{value.name}' has the shape {list(_shape(value) or ())}; expected dimensions of 1 or more, all "
            "that Triton serves; export it with a size, or with a name for a dimension that varies (dims: [ -1 ])"
        )


def _inferred_outputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > _SHAPING_BYTES:
            tensor.ClearField("raw_data")
    try:
        return list(onnx.shape_inference.infer_shapes(model).graph.output)
    except (onnx.shape_inference.InferenceError, ValueError):
        return list(model.graph.output)


def _weights(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a graph: its initializers and its nodes' attributes, also in graphs within the nodes."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _weights(inner)


def external_files(path: Path) -> list[str]:
    """List the files that hold weights of the ONNX model in a file, relative to its folder.

    Raises:
        GraphError: The file is no whole ONNX model, or one of these files is not beside it.
    """
    read_graph(path)
    return list(_external_bytes(onnx.load(str(path), load_external_data=False)))


def _external_bytes(model: onnx.ModelProto) -> dict[str, int]:
    """Return how many bytes of weights each other file holds at least."""
    needed: dict[str, int] = {}
    for tensor in _weights(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entry = {pair.key: pair.value for pair in tensor.external_data}
            end = int(entry.get("offset", 0)) + int(entry.get("length", 0))
            location = entry.get("location", "")
            needed[location] = max(needed.get(location, 0), end)
    return needed


def _external_problems(model: onnx.ModelProto, folder: Path) -> Iterator[str]:
    for location, end in _external_bytes(model).items():
        file = folder / location
        # The name alone counts: the file may be a link within the bundle, which is registered as a file.
        if location.startswith("/") or ".." in location.split("/"):
            yield f"has weights in '{location}', outside its folder; expected them beside it; export it again"
        elif not file.is_file():
            yield f"has weights in '{location}', which is missing; copy it beside the model file"
        elif file.stat().st_size < end:
            size = file.stat().st_size
            yield f"has weights in '{location}', which is truncated ({size} of {end} bytes); copy it again"
