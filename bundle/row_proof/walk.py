"""Whether an ONNX graph keeps the rows of a batch apart: the proof without which requests must not share a run.

A server that merges requests gives each client the rows that stand where its own stood. That is right only where each
row of every output depends on the same row of the inputs and on nothing else of the batch. Shapes alone do not tell:
a graph may reverse its rows, or find as many boxes as there happen to be requests. So the graph is followed, node by node,
with a number of rows that occurs nowhere else (a large prime, and then another one): each tensor is either independent
of the requests, or has one axis along which their rows lie, or is a number that follows from shapes. `rules` says what
each operator makes of that. What no rule tells is not proven, and then the requests run one by one.
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

ROWS = (1_000_003, 1_000_033)  # primes, larger than what a dimension or a number of a model is
SIZES = (10_007, 10_009, 10_037, 10_039, 10_061, 10_067, 10_069, 10_079, 10_091, 10_093, 10_099, 10_103)
SCALES = (1, 1_024)  # other dimensions that vary: odd ones, and ones that can be halved ten times
LARGEST_VALUE = 4_096

# What picks and arranges numbers: one that does not depend on the number of rows is the same for every number of them.
# Of any other operator's result that is not sure: the remainder of two primes by 2 is one and the same.
SELECTIONS = {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze"}
# What has no numbers in it that tensors' shapes could depend on, but makes others at each run.
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}


def mixing(model: onnx.ModelProto) -> str:
    """Why the requests of a batch may get each other's rows; empty where the graph proves that they do not."""
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
        except Exception as error:  # whatever a broken graph makes of the library
            reason = reason or f"the graph cannot be followed ({type(error).__name__})"
        else:
            return ""
    return reason


class _Walk:
    """The graph with `rows` rows; `before` is the walk with another number, to see what depends on it."""

    def __init__(self, model: onnx.ModelProto, rows: int, scale: int, before: _Walk | None) -> None:
        self.graph, self.count, self._before = model.graph, rows, before
        self.opsets = {opset.domain: opset.version for opset in model.opset_import}
        self._imports, self._ir = list(model.opset_import), model.ir_version
        self.types: dict[str, onnx.TypeProto] = {}
        self.values: dict[str, Array] = {}
        self.rows: dict[str, Rows] = {}
        # The numbers that depend on the number of rows; those computed from such may do so though they are equal.
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
        """Follow the graph to its outputs; raises Unproven."""
        for node in self.graph.node:
            self._follow(node)
        for output in self.graph.output:
            shape = self.shape(output.name)
            if self.rows.get(output.name) != Rows(0) or shape[0] != self.count:
                raise Unproven(f"output '{output.name}' has not one row for each row of the inputs")

    def shape(self, name: str) -> Shape:
        """A tensor's shape; raises Unproven where it is not known."""
        tensor = self.types[name].tensor_type if name in self.types else None
        if tensor is None or not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
            raise Unproven(f"the shape of '{name}' cannot be told")
        return [dim.dim_value for dim in tensor.shape.dim]

    def value(self, name: str) -> list[int] | None:
        """A tensor's numbers, as a flat list, where they follow from the graph and from shapes."""
        return [int(number) for number in self.values[name].ravel()] if name in self.values else None

    def counts_rows(self, name: str) -> bool:
        """Whether numbers that follow from shapes may be others for another number of rows."""
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
        """The rule and the inferred shape agree, and no other axis follows from the number of rows."""
        shape = self.shape(output)
        counted = [axis for axis, size in enumerate(shape) if size % self.count == 0]
        if counted != [rows.axis] or shape[rows.axis] % (self.count * rows.lead):
            raise Unproven(unclear(node))

    def _compare(self, node: onnx.NodeProto) -> None:
        """Refuse sizes that depend on the number of rows otherwise than as so many rows."""
        for name in node.output if self._before is not None else ():
            if _in_rows(self, name) != _in_rows(self._before, name):
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
        """Say what inference does not tell; what it tells stays."""
        known = self.types[name].tensor_type if name in self.types else None
        if known is None or not known.HasField("shape"):
            kind = known.elem_type if known is not None else onnx.TensorProto.FLOAT
            self.types[name] = helper.make_tensor_type_proto(kind, list(shape))

    def _evaluate(self, node: onnx.NodeProto) -> bool:
        """Compute what follows from numbers that are known, unless it is large or the library does not know how."""
        try:
            shapes = [self.shape(name) for name in node.output if name]
        except Unproven:
            shapes = []
        if any(prod(shape) > LARGEST_VALUE for shape in shapes):
            return False
        try:
            results = ReferenceEvaluator(node).run(None, {name: self.values[name] for name in node.input if name})
        except Exception:  # the evaluator's own are of many kinds
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
    """A tensor's sizes, those along its rows as so many for each."""
    try:
        shape = walk.shape(name)
    except Unproven:
        return None
    return [(size // walk.count, True) if size and size % walk.count == 0 else (size, False) for size in shape]
