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
    """`y` = `x` [batch, 2], by way of so many multiplications with a matrix of 2,048 x 2,048."""
    wide = 2048
    nodes = [
        helper.make_node("ConstantOfShape", ["square"], ["zeros"]),
        helper.make_node("EyeLike", ["zeros"], ["eye"]),
        helper.make_node("Pad", ["x", "pads"], ["x0"]),
        *(helper.make_node("MatMul", [f"x{step}", "eye"], [f"x{step + 1}"]) for step in range(steps)),
        helper.make_node("Slice", [f"x{steps}", "first", "last", "axis"], ["y"]),
    ]
    numbers = {"square": [wide, wide], "pads": [0, 0, 0, wide - 2], "first": [0], "last": [2], "axis": [1]}
    for name, values in numbers.items():
        nodes.insert(0, helper.make_node("Constant", [], [name], value_ints=values))
    dims: Dims = ("batch", 2)
    save(folder, nodes, {"x": dims}, {"y": dims})


def save_boxes(folder: Path) -> None:
    """`boxes` [found, 2]: where `x` [batch, 4] is above 0.5, however often; `score` [batch, 1]: each row's sum."""
    nodes = [
        helper.make_node("Constant", [], ["threshold"], value_float=0.5),
        helper.make_node("Greater", ["x", "threshold"], ["above"]),
        helper.make_node("NonZero", ["above"], ["where"]),
        helper.make_node("Transpose", ["where"], ["boxes"], perm=[1, 0]),
        helper.make_node("ReduceSum", ["x"], ["score"], axes=[1], keepdims=1),
    ]
    outputs: dict[str, Dims] = {"boxes": ["found", 2], "score": ["batch", 1]}
    save(folder, nodes, {"x": ["batch", 4]}, outputs, boxes=TensorProto.INT64)


def save_reversed(folder: Path) -> None:
    """`y`: the rows of `x` [batch, 4] in reverse, which shapes do not tell from rows as they are."""
    nodes = [helper.make_node("Slice", ["x", "last", "first", "axis", "step"], ["y"])]
    for name, value in {"last": -1, "first": -(2**31), "axis": 0, "step": -1}.items():
        nodes.insert(0, helper.make_node("Constant", [], [name], value_ints=[value]))
    save(folder, nodes, {"x": ["batch", 4]}, {"y": ["batch", 4]})


def save_whole(folder: Path) -> None:
    """`y`: the rows of `x` [batch, 4] up to as many as there are, which the graph does not prove to be all of them."""
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_ints=[0]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Slice", ["x", "zero", "rows", "zero"], ["y"]),
    ]
    save(folder, nodes, {"x": ["batch", 4]}, {"y": ["batch", 4]})


def save_apart(folder: Path) -> None:
    """`double` and `total`: of each row of `x` [batch, 4] by itself."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["double"]),
        helper.make_node("ReduceSum", ["x"], ["total"], axes=[1], keepdims=0),
    ]
    save(folder, nodes, {"x": ["batch", 4]}, {"double": ["batch", 4], "total": ["batch"]})


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
