"""Build a graph of ONNX operators by function calls: each call adds a node and returns the name of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from examples.training import export

Array = np.ndarray[Any, Any]


class Graph:
    """A graph in the making.

    Example:
        graph = Graph()
        logits = graph.op("Add", graph.op("MatMul", "x", weights), bias)
        graph.output("probabilities", graph.op("Softmax", logits, axis=1))
        proto = graph.build("model", inputs, outputs)
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str | Any, **attributes: Any) -> str:
        """Add a node; an input is the name of a value, or an array, which becomes a constant."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        names = [given if isinstance(given, str) else self._constant(given) for given in inputs]
        self._nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def encode_text(self, texts: str, codes: Mapping[str, int], default: int) -> str:
        """Add an int64 code for each text, by `codes`; an unknown text gets `default`."""
        return self.op(
            "LabelEncoder",
            texts,
            domain="ai.onnx.ml",
            keys_strings=list(codes),
            values_int64s=list(codes.values()),
            default_int64=default,
        )

    def output(self, name: str, value: str) -> None:
        """Make a value the graph's output of that name."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def build(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """Make the graph of the nodes and constants so far."""
        return helper.make_graph(self._nodes, name, inputs, outputs, self._constants)

    def _constant(self, values: Any) -> str:
        array = np.asarray(values)
        name = f"constant_{len(self._constants)}"
        kept = array.astype(np.float32) if array.dtype == np.float64 else array
        self._constants.append(export.constant(name, kept))
        return name
