"""Check that a target's Triton serves an ONNX graph: its types, shapes and age, and that ONNX Runtime loads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bundle.model_config import ModelConfig
from bundle.onnx_graph import Graph
from bundle.onnx_session import LoadError, load_session
from bundle.runtimes import Runtime

PROCESS = "process"
NOT_IN_PYTHON = frozenset({"BF16"})
"""Types that the ONNX backend of target `process` lacks, because numpy lacks them."""


def graph_target_problems(
    graph: Graph, config: ModelConfig | None, target: str, runtime: Runtime | None, source: Path, model_file: str
) -> Iterator[str]:
    """Yield a line for each reason why a target's Triton cannot serve a graph, whatever the configuration says."""
    for problem in graph.unsupported:
        yield f"{model_file}: {problem}"
    yield from _rank_problems(graph, config, source, model_file)
    if target == PROCESS:
        for tensor in (*graph.inputs, *graph.outputs):
            if tensor.datatype in NOT_IN_PYTHON:
                yield (
                    f"{model_file}: '{tensor.name}' is {tensor.datatype}, which Triton's Python backend cannot read, "
                    "and target 'process' serves ONNX with it; cast it in the graph (to FP32, say), or choose target "
                    "docker or node-pool"
                )
    if runtime is not None:
        yield from runtime.graph_problems(graph, model_file)


def load_problems(source: Path, model_file: str) -> Iterator[str]:
    """Yield ONNX Runtime's words where it does not load a graph."""
    try:
        load_session(source, optimized=False)
    except LoadError as error:
        yield f"{model_file}: ONNX Runtime does not load it: {error}{error.advice}"


def _rank_problems(graph: Graph, config: ModelConfig | None, source: Path, model_file: str) -> Iterator[str]:
    """Yield a line for each tensor whose rank the graph leaves open: ONNX Runtime and Triton take it for one value."""
    single: set[str] = set()
    if config is not None and not config.max_batch_size:
        single = {tensor.name for tensor in (*config.input, *config.output) if set(tensor.dims) == {1}}
    open_ones = [
        (kind, tensor.name)
        for kind, tensors in (("input", graph.inputs), ("output", graph.outputs))
        for tensor in tensors
        if tensor.datatype and tensor.shape is None and tensor.name not in single
    ]
    inferred = _inferred_shapes(source) if open_ones else {}
    for kind, name in open_ones:
        if not inferred.get(name):
            yield (
                f"{model_file}: {kind} '{name}' has no shape, which ONNX Runtime and Triton take for a single value; "
                "expected as many dimensions as it has, if only with names; export it with them, or, where it is a "
                f'single value, write {kind} [ {{ name: "{name}" dims: [ 1 ] ... }} ] into config.pbtxt'
            )


def _inferred_shapes(source: Path) -> dict[str, list[object]]:
    """Return the shapes that ONNX Runtime infers, also for its own operators; [] where it infers none."""
    try:
        session = load_session(source, optimized=False)
    except LoadError:
        return {}
    return {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
