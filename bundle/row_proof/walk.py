"""Prove that an ONNX graph keeps the rows of a batch apart; without the proof, requests must not share a run.

A server that merges requests gives each client the rows at the place of its own rows. That is right only where each row
of every output depends on the same row of the inputs and on no other row. Shapes alone do not tell: a graph may reverse
its rows, or find as many boxes as there happen to be requests.

So this module walks the graph, node by node, with a number of rows that occurs nowhere else: a large prime, and then
another one. Each tensor is one of three:

- independent of the requests;
- rows: the requests' rows lie along one of its axes;
- numbers that follow from shapes.

`rules` says how each operator changes that. Where no rule says it, nothing is proven, and requests run one by one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from .rules import Rows, Unproven, attribute, outcome, unclear

__all__ = ["mixing"]

Shape = list[int]
Array = np.ndarray[Any, Any]

ROWS = (1_000_003, 1_000_033)  # primes, larger than any dimension or number of a model
SIZES = (10_007, 10_009, 10_037, 10_039, 10_061, 10_067, 10_069, 10_079, 10_091, 10_093, 10_099, 10_103)
SCALES = (1, 1_024)  # for other dimensions that vary: odd sizes, and sizes that can be halved ten times
LARGEST_VALUE = 4_096

# These operators pick and arrange numbers: a result that is equal for both primes is equal for every number of rows.
# Any other operator's result may be equal by chance: both primes have the same remainder by 2.
SELECTIONS = {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze"}
# These operators make other numbers at each run, so the walk must not compute them.
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}


def mixing(model: onnx.ModelProto) -> str:
    """Say why the requests of a batch may get each other's rows; "" where the graph proves that they do not."""
    reason = ""
    for scale in SCALES:
        try:
            if model.functions:
                from onnx import inliner

                model = inliner.inline_local_functions(model)
            first = _Walk(model, ROWS[0], scale, None)
            first.run()
            _Walk(model, ROWS[1], scale, first).run()
        except Unproven as error:
            reason = reason or str(error)
        except Exception as error:  # a broken graph may make the library raise anything
            reason = reason or f"the graph cannot be followed ({type(error).__name__})"
        else:
            return ""
    return reason


class _Walk:
    """A walk through the graph with `rows` rows; `before` is the walk with another number, to compare with."""

    def __init__(self, model: onnx.ModelProto, rows: int, scale: int, before: _Walk | None) -> None:
        self.graph, self.count, self._before = model.graph, rows, before
        self.opsets = {opset.domain: opset.version for opset in model.opset_import}
        self._imports, self._ir = list(model.opset_import), model.ir_version
        self.types: dict[str, onnx.TypeProto] = {}
        self.values: dict[str, Array] = {}
        self.rows: dict[str, Rows] = {}
        # The values that depend on the number of rows. Values computed from these may do so too, although they are
        # equal in both walks.
        self._counted: set[str] = set()
        self._computed: set[str] = set()
        for weight in self.graph.initializer:
            self.types[weight.name] = helper.make_tensor_type_proto(weight.data_type, list(weight.dims))
            if prod(weight.dims) <= LARGEST_VALUE and not weight.external_data:
                self.values[weight.name] = numpy_helper.to_array(weight)
        self._place_inputs(scale)

    def _place_inputs(self, scale: int) -> None:
        sizes: dict[str | int, int] = {}
        names = set()
        for tensor in self.graph.input:
            if tensor.name in self.types:
                continue
            dims = tensor.type.tensor_type.shape.dim
            if not dims or dims[0].HasField("dim_value"):
                raise Unproven(f"input '{tensor.name}' has no first dimension that varies")
            names.add(dims[0].dim_param)
            shape = [self.count]
            for axis, dim in enumerate(dims[1:], 1):
                if dim.dim_param and dim.dim_param == dims[0].dim_param:
                    raise Unproven(f"input '{tensor.name}' has the batch dimension '{dim.dim_param}' twice")
                if not dim.HasField("dim_value") and len(sizes) >= len(SIZES):
                    raise Unproven("too many dimensions of its inputs vary")
                size = dim.dim_value or sizes.setdefault(dim.dim_param or axis, SIZES[len(sizes) % len(SIZES)] * scale)
                shape.append(size)
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.type.tensor_type.elem_type, shape)
            self.rows[tensor.name] = Rows(0)
        if len(names - {""}) > 1:
            raise Unproven(f"the first dimensions of its inputs have unlike names ({', '.join(sorted(names - {''}))})")

    def run(self) -> None:
        """Walk the graph to its outputs.

        Raises:
            Unproven: The walk does not prove that the rows stay apart.
        """
        for node in self.graph.node:
            self._follow(node)
        for output in self.graph.output:
            shape = self.shape(output.name)
            if self.rows.get(output.name) != Rows(0) or shape[0] != self.count:
                raise Unproven(f"output '{output.name}' has not one row for each row of the inputs")

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape.

        Raises:
            Unproven: The shape is not known.
        """
        tensor = self.types[name].tensor_type if name in self.types else None
        if tensor is None or not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
            raise Unproven(f"the shape of '{name}' cannot be told")
        return [dim.dim_value for dim in tensor.shape.dim]

    def value(self, name: str) -> list[int] | None:
        """Return a tensor's numbers as a flat list; None where they do not follow from the graph and its shapes."""
        return [int(number) for number in self.values[name].ravel()] if name in self.values else None

    def counts_rows(self, name: str) -> bool:
        """Tell whether a tensor's numbers may differ for another number of rows."""
        return name in self._counted

    def _follow(self, node: onnx.NodeProto) -> None:
        inputs = [name for name in node.input if name]
        self._infer(node)
        self._compare(node)
        if node.op_type == "Shape" and node.domain in ("", "ai.onnx"):
            shape = self.shape(inputs[0])
            start, end = attribute(node, "start", 0), attribute(node, "end", len(shape))
            self._know(node, node.output[0], np.array(shape[start:end], dtype=np.int64))
        elif all(name in self.values for name in inputs) and node.op_type not in RANDOM and self._evaluate(node):
            return
        else:
            for output, rows in zip(node.output, outcome(self, node), strict=False):
                if rows is not None and output:
                    self._check(node, output, rows)
                    self.rows[output] = rows

    def _check(self, node: onnx.NodeProto, output: str, rows: Rows) -> None:
        """Require that the rule and the inferred shape agree, and that no other axis depends on the number of rows."""
        shape = self.shape(output)
        counted = [axis for axis, size in enumerate(shape) if size % self.count == 0]
        if counted != [rows.axis] or shape[rows.axis] % (self.count * rows.lead):
            raise Unproven(unclear(node))

    def _compare(self, node: onnx.NodeProto) -> None:
        """Refuse a size that depends on the number of rows but is no multiple of it."""
        before = self._before
        for name in node.output:
            if before is not None and _in_rows(self, name) != _in_rows(before, name):
                raise Unproven(unclear(node))

    def _infer(self, node: onnx.NodeProto) -> None:
        version = self.opsets.get(node.domain)
        with contextlib.suppress(onnx.defs.SchemaError):
            if version is None:
                return
            schema = onnx.defs.get_schema(node.op_type, version, node.domain)
            types = {name: self.types[name] for name in node.input if name in self.types}
            data = {
                name: numpy_helper.from_array(self.values[name], name) for name in node.input if name in self.values
            }
            with contextlib.suppress(shape_inference.InferenceError):
                found = shape_inference.infer_node_outputs(
                    schema, node, types, data, opset_imports=self._imports, ir_version=self._ir
                )
                self.types.update(found)

    def set_shape(self, name: str, shape: Sequence[int]) -> None:
        """Set a tensor's shape, unless inference told it."""
        known = self.types[name].tensor_type if name in self.types else None
        if known is None or not known.HasField("shape"):
            kind = known.elem_type if known is not None else onnx.TensorProto.FLOAT
            self.types[name] = helper.make_tensor_type_proto(kind, list(shape))

    def _evaluate(self, node: onnx.NodeProto) -> bool:
        """Compute a node from known numbers; False for a large result, and where the library cannot compute it."""
        try:
            shapes = [self.shape(name) for name in node.output if name]
        except Unproven:
            shapes = []
        if any(prod(shape) > LARGEST_VALUE for shape in shapes):
            return False
        try:
            results = ReferenceEvaluator(node).run(None, {name: self.values[name] for name in node.input if name})
        except Exception:  # the evaluator raises exceptions of many kinds
            return False
        for name, result in zip(node.output, results, strict=False):
            if np.size(result) > LARGEST_VALUE:
                return False
            self._know(node, name, np.asarray(result))
        return True

    def _know(self, node: onnx.NodeProto, name: str, value: Array) -> None:
        self.values[name] = value
        if self._before is None:
            counted = bool(np.any((value != 0) & (value % self.count == 0))) if value.dtype.kind in "iu" else False
        else:
            other = self._before.values.get(name)
            selects = node.op_type == "Shape" or node.op_type in SELECTIONS
            operands = self._computed if selects else self._counted
            if operands.intersection(node.input):
                self._computed.add(name)
            counted = name in self._computed or other is None or not np.array_equal(other, value)
        if counted:
            self._counted.add(name)
        self.types[name] = helper.make_tensor_type_proto(
            helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape)
        )


def _in_rows(walk: _Walk, name: str) -> list[tuple[int, bool]] | None:
    """Return a tensor's sizes; a multiple of the number of rows becomes the factor and True."""
    try:
        shape = walk.shape(name)
    except Unproven:
        return None
    return [(size // walk.count, True) if size and size % walk.count == 0 else (size, False) for size in shape]
