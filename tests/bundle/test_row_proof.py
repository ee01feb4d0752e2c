"""The proof that a graph keeps the rows of a batch apart: right for what it proves, and refusing what mixes rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bundle.row_proof import mixing

WIDTH = 4
Nodes = list[onnx.NodeProto]
Array = np.ndarray[Any, Any]


def node(op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), list(outputs), **attributes)


def graph(
    nodes: Nodes,
    outputs: Sequence[str] = ("y",),
    constants: dict[str, Any] | None = None,
    inputs: dict[str, Sequence[str | int | None]] | None = None,
) -> onnx.ModelProto:
    """A model of float inputs, `x` [batch, 4] unless others are given, whose outputs declare neither type nor shape."""
    given_inputs = inputs or {"x": ["batch", WIDTH]}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in given_inputs.items()]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    made = helper.make_graph(nodes, "g", values, [onnx.ValueInfoProto(name=name) for name in outputs], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ONES = {"w": np.ones((WIDTH, 3), np.float32)}
INTS = {"rows_last": np.array([-1, WIDTH]), "two": np.array([2]), "zero": np.array([0]), "minus": np.array([-1])}
APART = {
    "dense": graph([node("MatMul", "xw", "m"), node("Relu", "m", "y")], constants=ONES),
    "labels": graph([node("MatMul", "xw", "m"), node("ArgMax", "m", "y", axis=1, keepdims=0)], constants=ONES),
    "softmax": graph([node("Softmax", "x", "y")]),
    "unnamed dimension": graph([node("Relu", "x", "y")], inputs={"x": [None, WIDTH]}),
    "there and back": graph(
        [node("Transpose", "x", "t", perm=[1, 0]), node("Relu", "t", "r"), node("Transpose", "r", "y", perm=[1, 0])]
    ),
    "flattened by torch": graph(
        [
            node("Shape", "x", "s"),
            node("Gather", ["s", "first"], "n", axis=0),
            node("Concat", ["n", "minus"], "to", axis=0),
            node("Reshape", ["x", "to"], "y"),
        ],
        constants={"first": np.array([0]), **INTS},
        inputs={"x": ["batch", 2, 3]},
    ),
    "heads": graph(
        [
            node("Reshape", ["x", "split"], "a"),
            node("Transpose", "a", "b", perm=[0, 2, 1, 3]),
            node("Relu", "b", "c"),
            node("Transpose", "c", "d", perm=[0, 2, 1, 3]),
            node("Reshape", ["d", "join"], "y"),
        ],
        constants={"split": np.array([0, 0, 2, 4]), "join": np.array([0, 0, 8])},
        inputs={"x": ["batch", "words", 8]},
    ),
    "a token for each row": graph(
        [
            node("Shape", "x", "s"),
            node("Gather", ["s", "first"], "n", axis=0),
            node("Concat", ["n", "one"], "shape", axis=0),
            node("Expand", ["token", "shape"], "many"),
            node("Concat", ["x", "many"], "y", axis=1),
        ],
        constants={"first": np.array([0]), "one": np.array([1]), "token": np.array([[7]], np.float32)},
    ),
    "two inputs": graph([node("Add", ["x", "z"], "y")], inputs={"x": ["n", 2], "z": ["n", 2]}),
    "image": graph(
        [node("Conv", "xk", "c"), node("GlobalAveragePool", "c", "p"), node("Flatten", "p", "y")],
        constants={"k": np.ones((2, 3, 3, 3), np.float32)},
        inputs={"x": ["batch", 3, "height", "width"]},
    ),
}
MIXED = {
    "as many as there are": (
        graph([node("Greater", "xt", "b"), node("NonZero", "b", "n"), node("Transpose", "n", "y", perm=[1, 0])],
              constants={"t": np.float32(0.5)}),
        "operator NonZero",
    ),
    "reversed": (
        graph([node("Slice", ["x", "minus", "end", "zero", "minus"], "y")],
              constants={**INTS, "end": np.array([-(2**31)])}),
        "operator Slice",
    ),
    "centred": (
        graph([node("ReduceMean", "x", "m", axes=[0]), node("Sub", "xm", "y")]), "operator ReduceMean"
    ),
    "softmax over the batch": (graph([node("Softmax", "x", "y", axis=0)]), "operator Softmax"),
    "sorted": (
        graph([node("TopK", ["x", "two"], "y", "i", axis=0)], constants=INTS), "operator TopK"
    ),
    "scrambled": (
        graph([node("Transpose", "x", "t", perm=[1, 0]), node("Reshape", ["t", "rows_last"], "y")], constants=INTS),
        "operator Reshape",
    ),
    "divided by how many there are": (
        graph([node("Shape", "x", "s"), node("Gather", ["s", "zero"], "n"), node("Cast", "n", "f", to=1),
               node("Div", "xf", "y")], constants=INTS),
        "operator Div",
    ),
    "odd or even": (
        graph([node("Shape", "x", "s"), node("Gather", ["s", "zero"], "n"), node("Mod", ["n", "two"], "m"),
               node("Cast", "m", "f", to=1), node("Add", "xf", "y")], constants=INTS),
        "operator Add",
    ),
    "split in halves": (
        graph([node("Reshape", ["x", "to"], "y")], constants={"to": np.array([-1, 2])}), "has not one row for each row"
    ),
    "unlike names": (
        graph([node("Add", ["x", "z"], "y")], inputs={"x": ["n", 2], "z": ["m", 2]}), r"unlike names \(m, n\)"
    ),
    "quantised on the way": (
        graph([node("DynamicQuantizeLinear", "x", "q", "s", "z"), node("Cast", "q", "y", to=1)]),
        "operator DynamicQuantizeLinear",
    ),
    "a constant": (graph([node("Identity", "w", "y"), node("Relu", "x", "r")], constants=ONES), "has not one row"),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_rows_that_are_apart_are_proven_so(name: str) -> None:
    assert mixing(APART[name]) == ""


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_may_mix_are_not_proven_apart(name: str) -> None:
    model, expected = MIXED[name]
    assert re.search(expected, mixing(model)), mixing(model)


# What a generated graph may do to a float tensor [rows, 4], named by `a` and `b`, and give another of the same form (`o`):
# some of it keeps rows apart, some does not.
def steps(a: str, b: str, o: str) -> list[Nodes]:
    def t(name: str) -> str:
        return f"{o}_{name}"

    return [
        [node("Relu", [a], o)],
        [node("Add", [a, b], o)],
        [node("MatMul", [a, "square"], o)],
        [node("Greater", [a, b], t("g")), node("Where", [t("g"), a, b], o)],
        [node("ReduceSum", [a, "one"], t("s"), keepdims=1), node("Add", [b, t("s")], o)],
        [node("ReduceSum", [a, "zero"], t("s"), keepdims=1), node("Add", [b, t("s")], o)],
        [node("ReduceMax", [a], t("s"), axes=[0, 1], keepdims=1), node("Add", [b, t("s")], o)],
        [node("Transpose", [a], t("t"), perm=[1, 0]), node("Transpose", [t("t")], o, perm=[1, 0])],
        [node("Transpose", [a], t("t"), perm=[1, 0]), node("Reshape", [t("t"), "rows_last"], o)],
        [node("Reshape", [a, "pairs"], t("r")), node("Reshape", [t("r"), "rows_last"], o)],
        [node("Reshape", [a, "column"], t("r")), node("Reshape", [t("r"), "rows_last"], o)],
        [node("Slice", [a, "minus", "least", "zero", "minus"], o)],
        [node("Slice", [a, "minus", "least", "one", "minus"], o)],
        [node("CumSum", [a, "axis_0"], o)],
        [node("CumSum", [a, "axis_1"], o)],
        [node("TopK", [a, "width"], o, t("i"), axis=1)],
        [node("Gather", [a, "turned"], o, axis=1)],
        [node("Split", [a], t("l"), t("r"), axis=1), node("Concat", [t("r"), t("l")], o, axis=1)],
        [node("Shape", [a], t("n")), node("Cast", [t("n")], t("f"), to=1), node("ReduceSum", [t("f")], t("k"), keepdims=0),
         node("Add", [a, t("k")], o)],
        [node("Shape", [a], t("n")), node("Expand", ["single", t("n")], t("e")), node("Add", [a, t("e")], o)],
        [node("ArgMax", [a], t("m"), axis=1, keepdims=1), node("Cast", [t("m")], t("f"), to=1), node("Add", [b, t("f")], o)],
        [node("ArgMax", [a], t("m"), axis=0, keepdims=1), node("Cast", [t("m")], t("f"), to=1), node("Add", [b, t("f")], o)],
        [node("Transpose", [a], t("t"), perm=[1, 0]), node("MatMul", [a, t("t")], t("p")), node("MatMul", [t("p"), b], o)],
        [node("Einsum", [a, "square"], o, equation="ni,ij->nj")],
    ]  # fmt: skip


CONSTANTS = {
    "square": np.array([[0, 1, 0, 0], [2, 0, 0, 1], [0, 0, 1, 0], [1, 0, 1, 0]], np.float32),
    "one": np.array([1]), "zero": np.array([0]), "minus": np.array([-1]), "least": np.array([-(2**31)]),
    "axis_0": np.array(0), "axis_1": np.array(1), "width": np.array([WIDTH]), "turned": np.array([2, 0, 3, 1]),
    "rows_last": np.array([-1, WIDTH]), "pairs": np.array([0, 2, 2]), "column": np.array([-1, 1]),
    "single": np.array([[3]], np.float32),
}  # fmt: skip
KINDS = len(steps("", "", ""))


@st.composite
def graphs(draw: Callable[..., Any]) -> onnx.ModelProto:
    names = ["x", "z"]
    nodes: Nodes = []
    for at in range(draw(st.integers(1, 6))):
        a, b = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        nodes += steps(a, b, f"t{at}")[draw(st.integers(0, KINDS - 1))]
        names.append(f"t{at}")
    outputs = draw(st.lists(st.sampled_from(names[2:]), min_size=1, max_size=3, unique=True))
    dim = draw(st.sampled_from(["batch", None]))
    return graph(nodes, outputs, CONSTANTS, {"x": [dim, WIDTH], "z": [dim, WIDTH]})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.lists(st.integers(1, 3), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_what_is_proven_apart_answers_together_as_alone(model: onnx.ModelProto, sizes: list[int], random: Any) -> None:
    if mixing(model):
        return
    for output in model.graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["rows", WIDTH]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    requests = [
        {
            name: np.array([[random.randint(-3, 3) for _ in range(WIDTH)] for _ in range(size)], np.float32)
            for name in "xz"
        }
        for size in sizes
    ]
    together = session.run(None, {name: np.concatenate([request[name] for request in requests]) for name in "xz"})
    alone = [session.run(None, request) for request in requests]
    for at, answer in enumerate(together):
        assert np.concatenate([each[at] for each in alone]).tobytes() == answer.tobytes()


def test_most_kinds_of_step_are_proven_or_refused_as_they_should_be() -> None:
    proven = {at for at in range(KINDS) if not mixing(graph(steps("x", "x", "y")[at], constants=CONSTANTS))}
    assert proven == {0, 1, 2, 3, 4, 7, 9, 10, 12, 14, 15, 16, 17, 19, 20, 23}
