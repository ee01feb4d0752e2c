"""Small ONNX models for tests, written into a model repository."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

Dims = Sequence[str | int]


def save(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Dims],
    outputs: Mapping[str, Dims],
    *,
    opset: int = 12,
    **types: int,
) -> None:
    """Write `model.onnx` into a version's folder; tensors are float32 unless `types` has another type."""

    def tensors(shapes: Mapping[str, Dims]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), dims)
            for name, dims in shapes.items()
        ]

    _write(folder, helper.make_graph(nodes, "test", tensors(inputs), tensors(outputs)), opset)


def save_scaling(folder: Path, factor: float, dims: Dims = ("batch", 2)) -> None:
    """`y` = `factor` * `x`."""
    nodes = [
        helper.make_node("Constant", [], ["factor"], value_float=float(factor)),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
    ]
    save(folder, nodes, {"x": dims}, {"y": dims})


def save_sum(folder: Path) -> None:
    """`y` [batch] = the sum of each row of `x` [batch, 2]."""
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], axes=[1], keepdims=0)]
    save(folder, nodes, {"x": ["batch", 2]}, {"y": ["batch"]})


def save_lookup(folder: Path, table: list[int]) -> None:
    """`value` = `table`[`index`], both int64 [batch, 1]; an index that is not in the table is an error of the run."""
    nodes = [
        helper.make_node("Constant", [], ["table"], value_ints=table),
        helper.make_node("Gather", ["table", "index"], ["value"]),
    ]
    dims: Dims = ("batch", 1)
    save(folder, nodes, {"index": dims}, {"value": dims}, index=TensorProto.INT64, value=TensorProto.INT64)


def save_slow(folder: Path, steps: int) -> None:
    """`y` = `x` [batch, 2], by a loop of so many steps."""
    dims: Dims = ("batch", 2)
    tensor, boolean = helper.make_tensor_value_info, TensorProto.BOOL
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["value"], ["next"])],
        "step",
        [tensor("step", TensorProto.INT64, []), tensor("go", boolean, []), tensor("value", TensorProto.FLOAT, dims)],
        [tensor("go_on", boolean, []), tensor("next", TensorProto.FLOAT, dims)],
    )
    nodes = [
        helper.make_node("Constant", [], ["steps"], value_int=steps),
        helper.make_node("Loop", ["steps", "", "x"], ["y"], body=body),
    ]
    save(folder, nodes, {"x": dims}, {"y": dims})


def save_sequence(folder: Path) -> None:
    """`y`: the rows of `x` [batch, 2] as a sequence, which is no tensor."""
    graph = helper.make_graph(
        [helper.make_node("SplitToSequence", ["x"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )
    _write(folder, graph)


def _write(folder: Path, graph: onnx.GraphProto, opset: int = 12) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
