"""Rules for ONNX's operators: where do the rows lie in the outputs, or may the operator mix them?

A rule looks at one node. It may rely on inferred shapes, and must raise `Unproven` where it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import onnx
from onnx import helper

__all__ = ["Rows", "Unproven", "attribute", "outcome", "unclear"]

Shape = list[int]


class Unproven(Exception):
    """The rows may be mixed; the message says why."""


@dataclass(frozen=True)
class Rows:
    """The place of a tensor's rows: along `axis`, whose size is `lead` x rows x anything, row by row in each part."""

    axis: int
    lead: int = 1


class Walk(Protocol):
    """The questions that a rule may ask the walk through the graph."""

    count: int
    opsets: dict[str, int]
    rows: dict[str, Rows]

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape; raise `Unproven` where it is not known."""

    def value(self, name: str) -> list[int] | None:
        """Return a tensor's numbers as a flat list; None where they are not known."""

    def counts_rows(self, name: str) -> bool:
        """Tell whether a tensor's numbers may differ for another number of rows."""

    def set_shape(self, name: str, shape: Sequence[int]) -> None:
        """Set a tensor's shape, unless inference told it."""


# One place for all outputs of a node, or one for each; None for outputs that do not depend on the requests.
Outcome = Rows | None | list[Rows]
Rule = Callable[[Walk, onnx.NodeProto], Outcome]


def outcome(walk: Walk, node: onnx.NodeProto) -> Iterator[Rows | None]:
    """Yield the place of the rows in each output of a node.

    Raises:
        Unproven: The node may mix rows.
    """
    name = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    # Numbers that depend on the number of rows may become a shape, and nothing else.
    counted = {at for at, operand in enumerate(node.input) if operand and walk.counts_rows(operand)}
    _require(counted <= SHAPE_OPERANDS.get(name, set()), node)
    if not counted and not any(operand in walk.rows for operand in node.input):
        return
    _require(name in RULES, node)
    found = RULES[name](walk, node)
    yield from found if isinstance(found, list) else [found] * len(node.output)


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return a node's attribute, or the default."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def unclear(node: onnx.NodeProto) -> str:
    """Say that a node may mix rows."""
    name = f" (node '{node.name}')" if node.name else ""
    return f"operator {node.op_type}{name} may mix the rows of a batch"


def _require(holds: object, node: onnx.NodeProto) -> None:
    if not holds:
        raise Unproven(unclear(node))


def _alone(walk: Walk, node: onnx.NodeProto, at: int = 0) -> Rows:
    """Return the place of the rows in input `at`; no other input may have rows."""
    _require(len(node.input) > at and node.input[at] in walk.rows, node)
    _require(all(i == at or name not in walk.rows for i, name in enumerate(node.input)), node)
    return walk.rows[node.input[at]]


def _axis(value: int, rank: int) -> int:
    return value + rank if value < 0 else value


def _elementwise(walk: Walk, node: onnx.NodeProto) -> Rows:
    """Compute each value from those at the same place; an input with fewer dimensions or a size of 1 is repeated."""
    shapes = {name: walk.shape(name) for name in node.input if name}
    rank = max(map(len, shapes.values()))
    found = {
        Rows(walk.rows[name].axis + rank - len(shape), walk.rows[name].lead)
        for name, shape in shapes.items()
        if name in walk.rows
    }
    _require(len(found) == 1, node)
    (rows,) = found
    for name, shape in shapes.items():
        axis = rows.axis - (rank - len(shape))
        _require(name in walk.rows or axis < 0 or shape[axis] == 1, node)
    if len(shapes) == 1:
        walk.set_shape(node.output[0], shapes[node.input[0]])
    return rows


def _matmul(walk: Walk, node: onnx.NodeProto) -> Rows:
    left, right = node.input[0], node.input[1]
    shapes = {name: walk.shape(name) for name in (left, right)}
    _require(min(map(len, shapes.values())) >= 2 and not any(name in walk.rows for name in node.input[2:]), node)
    rank = max(map(len, shapes.values()))
    found = set()
    for name, contracted in ((left, -1), (right, -2)):
        if name in walk.rows:
            rows, own = walk.rows[name], len(shapes[name])
            _require(rows.axis != own + contracted, node)
            found.add(Rows(rows.axis + rank - own, rows.lead))
    _require(len(found) == 1, node)
    (rows,) = found
    if left in walk.rows and right in walk.rows:
        _require(rows.axis < rank - 2, node)
    elif rows.axis < rank - 2:  # each row has a matrix of its own, and all rows share the other
        shape = shapes[right if left in walk.rows else left]
        axis = rows.axis - (rank - len(shape))
        _require(axis < 0 or shape[axis] == 1, node)
    return rows


def _gemm(walk: Walk, node: onnx.NodeProto) -> Rows:
    rows = _alone(walk, node)
    _require(rows.axis == (1 if attribute(node, "transA", 0) else 0), node)
    if len(node.input) > 2 and node.input[2]:
        bias = walk.shape(node.input[2])
        _require(len(bias) < 2 or bias[0] == 1, node)
    return Rows(0, rows.lead)


def _per_sample(walk: Walk, node: onnx.NodeProto) -> Rows:
    """Work on one sample after the other along the first axis: convolutions, pooling, normalisation in a sample."""
    rows = _alone(walk, node)
    _require(rows == Rows(0) and not attribute(node, "training_mode", 0), node)
    _require(walk.shape(node.output[0])[0] == walk.shape(node.input[0])[0], node)
    return rows


def _after_axis(default: int) -> Rule:
    """Make the rule of operators that work along `axis` and all later axes."""

    def rule(walk: Walk, node: onnx.NodeProto) -> Rows:
        rows = _alone(walk, node)
        _require(rows.axis < _axis(attribute(node, "axis", default), len(walk.shape(node.input[0]))), node)
        return rows

    return rule


def _along(default: int) -> Rule:
    """Make the rule of operators that work along `axis` alone."""

    def rule(walk: Walk, node: onnx.NodeProto) -> Rows:
        rows = _alone(walk, node)
        axis = attribute(node, "axis", default)
        if node.op_type == "CumSum":
            given = walk.value(node.input[1])
            _require(given, node)
            axis = given[0] if given else 0
        _require(rows.axis != _axis(axis, len(walk.shape(node.input[0]))), node)
        return rows

    return rule


def _softmax(walk: Walk, node: onnx.NodeProto) -> Outcome:
    return (_along(-1) if walk.opsets.get("", 0) >= 13 else _after_axis(1))(walk, node)


def _reduce(walk: Walk, node: onnx.NodeProto) -> Rows:
    rows, rank = _alone(walk, node), len(walk.shape(node.input[0]))
    axes: list[int] | None
    if node.op_type in ("ArgMax", "ArgMin"):
        axes = [attribute(node, "axis", 0)]
    elif len(node.input) > 1 and node.input[1]:
        axes = walk.value(node.input[1])
    else:
        axes = attribute(node, "axes")
    _require(axes, node)  # without axes, all are reduced
    reduced = {_axis(axis, rank) for axis in axes or []}
    _require(rows.axis not in reduced, node)
    if attribute(node, "keepdims", 1):
        return rows
    return Rows(rows.axis - sum(axis < rows.axis for axis in reduced), rows.lead)


def _transpose(walk: Walk, node: onnx.NodeProto) -> Rows:
    rows, rank = _alone(walk, node), len(walk.shape(node.input[0]))
    order = list(attribute(node, "perm", range(rank)[::-1]))
    return Rows(order.index(rows.axis), rows.lead)


def _reshape(walk: Walk, node: onnx.NodeProto) -> Rows:
    """Keep the values in their order: the rows lie on the axis with as many values before it as in the input."""
    rows, shape = _alone(walk, node), walk.shape(node.input[0])
    before = prod(shape[: rows.axis]) * rows.lead
    new = walk.shape(node.output[0])
    for axis, size in enumerate(new):
        if size % walk.count == 0:
            lead, rest = divmod(before, prod(new[:axis]))
            _require(not rest and lead and size % (lead * walk.count) == 0, node)
            return Rows(axis, lead)
    raise Unproven(unclear(node))


def _repeat(walk: Walk, node: onnx.NodeProto) -> Outcome:
    """Repeat values (ConstantOfShape, Expand, Tile): each row gets the same ones."""
    data = "" if node.op_type == "ConstantOfShape" else node.input[0]
    new = walk.shape(node.output[0])
    if data in walk.rows:
        if node.op_type == "Tile":
            return _same_size(walk, node)
        rows = walk.rows[data]
        return Rows(rows.axis + len(new) - len(walk.shape(data)), rows.lead)
    counted = [axis for axis, size in enumerate(new) if size % walk.count == 0]
    _require(len(counted) < 2 and all(new[axis] == walk.count for axis in counted), node)
    return Rows(counted[0]) if counted else None


def _concat(walk: Walk, node: onnx.NodeProto) -> Rows:
    _require(len({walk.rows.get(name) for name in node.input}) == 1, node)
    rows = walk.rows[node.input[0]]
    _require(rows.axis != _axis(attribute(node, "axis", 1), len(walk.shape(node.input[0]))), node)
    return rows


def _slice(walk: Walk, node: onnx.NodeProto) -> Rows:
    rows, shape = _alone(walk, node), walk.shape(node.input[0])
    if len(node.input) > 4 and node.input[4]:
        steps = walk.value(node.input[4])
        axes = walk.value(node.input[3]) if node.input[3] else list(range(len(steps or [])))
        _require(steps is not None and axes is not None, node)
        backwards = {_axis(axis, len(shape)) for axis, step in zip(axes or [], steps or [], strict=True) if step < 0}
        _require(rows.axis not in backwards, node)
    return _same_size(walk, node)


def _same_size(walk: Walk, node: onnx.NodeProto) -> Rows:
    """Keep the axis of the rows as long as it is, and the rows in their order."""
    rows = _alone(walk, node)
    size = walk.shape(node.input[0])[rows.axis]
    _require(all(walk.shape(output)[rows.axis] == size for output in node.output if output), node)
    return rows


def _gather(walk: Walk, node: onnx.NodeProto) -> Rows:
    data, indices = node.input[0], node.input[1]
    axis = _axis(attribute(node, "axis", 0), len(walk.shape(data)))
    if data not in walk.rows:
        rows = walk.rows[indices]
        return Rows(axis + rows.axis, rows.lead)
    rows = _alone(walk, node)
    _require(rows.axis != axis, node)
    return rows if rows.axis < axis else Rows(rows.axis - 1 + len(walk.shape(indices)), rows.lead)


def _gather_elements(walk: Walk, node: onnx.NodeProto) -> Rows:
    data, indices = (walk.rows.get(name) for name in node.input[:2])
    axis = _axis(attribute(node, "axis", 0), len(walk.shape(node.input[0])))
    if data is None or data != indices or data.axis == axis:
        raise Unproven(unclear(node))
    return data


def _pad(walk: Walk, node: onnx.NodeProto) -> Rows:
    rows, rank = _alone(walk, node), len(walk.shape(node.input[0]))
    pads = walk.value(node.input[1]) if len(node.input) > 1 else attribute(node, "pads")
    if pads is None or len(pads) != 2 * rank or pads[rows.axis] or pads[rank + rows.axis]:
        raise Unproven(unclear(node))
    return rows


def _one_hot(walk: Walk, node: onnx.NodeProto) -> Rows:
    rows = _alone(walk, node)
    axis = _axis(attribute(node, "axis", -1), len(walk.shape(node.input[0])) + 1)
    return Rows(rows.axis + (axis <= rows.axis), rows.lead)


def _einsum(walk: Walk, node: onnx.NodeProto) -> Rows:
    equation = attribute(node, "equation", b"").decode().replace(" ", "")
    _require("..." not in equation and "->" in equation, node)
    left, result = equation.split("->")
    terms = list(zip(left.split(","), node.input, strict=True))
    letters = {(term[walk.rows[n].axis], walk.rows[n].lead) for term, n in terms if n in walk.rows}
    _require(len(letters) == 1, node)
    ((letter, lead),) = letters
    _require(all(term.count(letter) == (name in walk.rows) for term, name in terms), node)
    _require(result.count(letter) == 1, node)
    return Rows(result.index(letter), lead)


def _recurrent(walk: Walk, node: onnx.NodeProto) -> Outcome:
    """Work on sequences that lie side by side along the second axis; lengths and first states may be inputs too."""
    _require(walk.rows.get(node.input[0]) == Rows(1) and not attribute(node, "layout", 0), node)
    expected = {4: Rows(0), 5: Rows(1), 6: Rows(1)}
    for at, name in enumerate(node.input[1:], 1):
        _require(not name or walk.rows.get(name) == expected.get(at), node)
    return [Rows(2), Rows(1), Rows(1)]


def _features(walk: Walk, node: onnx.NodeProto) -> Rows:
    """Give an answer for each row of features."""
    rows, shape = _alone(walk, node), walk.shape(node.input[0])
    _require(rows == Rows(0) and len(shape) == 2, node)
    columns = int(attribute(node, "n_targets") or attribute(node, "targets") or 1)
    walk.set_shape(node.output[0], [shape[0], columns] if node.op_type.endswith("Regressor") else shape)
    return rows


def _array_features(walk: Walk, node: onnx.NodeProto) -> Rows:
    """Pick along the last axis: columns of each row, or an entry of a table for each row."""
    data, picked = node.input[0], node.input[1]
    if data in walk.rows:
        rows = _alone(walk, node)
        _require(rows.axis < len(walk.shape(data)) - 1, node)
        return rows
    rows, shape = walk.rows[picked], walk.shape(picked)
    return Rows(len(walk.shape(node.output[0])) - 1, prod(shape[: rows.axis]) * rows.lead)


_ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil
    Celu Clip Cos Cosh DequantizeLinear Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid
    HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow
    QuantizeLinear Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh
    ThresholdedRelu Where Xor ai.onnx.ml.Binarizer ai.onnx.ml.LabelEncoder
"""
_PER_SAMPLE = """
    AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool
    GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool MaxPool QLinearConv Resize SpaceToDepth Upsample
"""
_REDUCE = """
    ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare
"""
_FEATURES = """
    Imputer LinearClassifier LinearRegressor Normalizer SVMClassifier SVMRegressor Scaler TreeEnsembleClassifier
    TreeEnsembleRegressor
"""
RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_PER_SAMPLE.split(), _per_sample),
    **dict.fromkeys(_REDUCE.split(), _reduce),
    **{f"ai.onnx.ml.{name}": _features for name in _FEATURES.split()},
    "ai.onnx.ml.ArrayFeatureExtractor": _array_features,
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("ConstantOfShape", "Expand", "Tile"), _repeat),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _after_axis(-1)),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(("CumSum", "LpNormalization", "TopK"), _along(-1)),
    "Concat": _concat,
    "Einsum": _einsum,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _same_size,
    "Transpose": _transpose,
}
"""The rules, by the operator's name with its domain."""

SHAPE_OPERANDS: dict[str, set[int]] = {
    "ConstantOfShape": {0},
    "Expand": {1},
    "Reshape": {1},
    "Tile": {1},
}
"""By operator, the inputs that are a shape."""
