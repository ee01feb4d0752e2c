"""Compare a configuration with the ONNX graph that it describes, by the rules of Triton's onnxruntime backend.

The rules are those of its `ValidateInputs`, `ValidateOutputs`, `CompareDimsSupported` and `AutoCompleteMaxBatch`:

- a configuration names all inputs of the graph, and any of its outputs;
- an input's dimension may be fixed where the graph lets it vary, an output's dimension is the graph's;
- batching needs a first dimension that varies in all inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bundle.bundle_types import ANY_SIZE, Tensor
from bundle.model_config import ModelConfig, configured, datatype_of
from bundle.problems import listed, nearest

if TYPE_CHECKING:  # `onnx` takes long to import
    from bundle.onnx_graph import Graph, GraphTensor

DEFAULT_MAX_BATCH_SIZE = 4
"""Triton's `default-max-batch-size`: for a graph that can batch, where the configuration sets no size."""


def graph_problems(config: ModelConfig, graph: Graph, shown: str, model_file: str) -> Iterator[str]:
    """Yield a line for each contradiction between a configuration and its graph.

    Args:
        config: The configuration.
        graph: The graph.
        shown: The configuration's path, for the lines.
        model_file: The graph's path, for the lines.
    """
    batches = config.max_batch_size > 0
    if batches and not (config.input and config.output) and not graph.batches:
        yield _no_batch_dimension(config, graph, shown, model_file)
        return
    max_batch_size = completed_batch_size(config, graph)
    yield from _input_problems(config, graph, max_batch_size, shown, model_file)
    yield from _output_problems(config, graph, max_batch_size, shown, model_file)


def _no_batch_dimension(config: ModelConfig, graph: Graph, shown: str, model_file: str) -> str:
    fixed = next(t for t in (*graph.inputs, *graph.outputs) if not t.shape or t.shape[0] != ANY_SIZE)
    return (
        f"{shown}: max_batch_size is {config.max_batch_size}, but '{fixed.name}' of {model_file} has the shape "
        f"{_shown(fixed.shape)} with no batch dimension; "
        "expected a first dimension that varies, in all inputs and outputs; "
        "set max_batch_size: 0 or export the model with a batch dimension"
    )


def _input_problems(
    config: ModelConfig, graph: Graph, max_batch_size: int, shown: str, model_file: str
) -> Iterator[str]:
    if not config.input:
        return
    known = {tensor.name: tensor for tensor in (*graph.initializers, *graph.inputs)}
    given = {tensor.name for tensor in config.input} | _controls(config)
    for tensor in config.input:
        match = known.get(tensor.name)
        if match is None:
            yield _unknown(tensor.name, "input", known, shown, model_file)
        elif not tensor.allow_ragged_batch:
            yield from _tensor_problems(tensor, match, "input", max_batch_size, shown, model_file)
    for name in (tensor.name for tensor in graph.inputs):
        if name not in given and not config.batch_input:
            yield (
                f"{shown}: input '{name}' of {model_file} is missing; "
                f"expected all of {listed(t.name for t in graph.inputs)}; add it"
            )


def _output_problems(
    config: ModelConfig, graph: Graph, max_batch_size: int, shown: str, model_file: str
) -> Iterator[str]:
    known = {tensor.name: tensor for tensor in graph.outputs}
    free = {name for batch_output in config.batch_output for name in batch_output.target_name}
    for tensor in config.output:
        match = known.get(tensor.name)
        if match is None:
            yield _unknown(tensor.name, "output", known, shown, model_file)
        elif tensor.name not in free:
            yield from _tensor_problems(tensor, match, "output", max_batch_size, shown, model_file)


def _unknown(name: str, kind: str, known: dict[str, GraphTensor], shown: str, model_file: str) -> str:
    return f"{shown}: {kind} '{name}' is not in {model_file}; expected {kind}s of {listed(known)}{nearest(name, known)}"


def _tensor_problems(
    tensor: Any, match: GraphTensor, kind: str, max_batch_size: int, shown: str, model_file: str
) -> Iterator[str]:
    name = f"{kind} '{tensor.name}'"
    if match.datatype and tensor.data_type and datatype_of(tensor.data_type) != match.datatype:
        yield (
            f"{shown}: {name} has data_type {configured(datatype_of(tensor.data_type))}, "
            f"expected {configured(match.datatype)} as in {model_file}; change it"
        )
    if match.shape is None:
        return
    if max_batch_size > 0 and (not match.shape or match.shape[0] != ANY_SIZE):
        yield (
            f"{shown}: max_batch_size is {max_batch_size}, but {name} of {model_file} has the shape "
            f"{_shown(match.shape)} with no batch dimension; expected a first dimension that varies; "
            "set max_batch_size: 0 or export the model with a batch dimension"
        )
        return
    dims = tuple(tensor.reshape.shape) if tensor.HasField("reshape") else tuple(tensor.dims)
    expected = match.shape[1:] if max_batch_size > 0 else match.shape
    if not match.shape:
        if any(dim != 1 for dim in dims):
            yield (
                f"{shown}: {name} has dims {_shown(dims)}, expected [ 1 ] as it is a scalar in {model_file}; "
                "change them"
            )
    elif not _fits(dims, expected, exact=kind == "output"):
        batch = f", after the batch dimension that max_batch_size {max_batch_size} adds" if max_batch_size > 0 else ""
        yield (
            f"{shown}: {name} has dims {_shown(dims)}, expected {_shown(expected)} as in {model_file}{batch}; "
            "change them"
        )


def _fits(dims: Sequence[int], expected: Sequence[int], *, exact: bool) -> bool:
    return len(dims) == len(expected) and all(
        ours == theirs or (theirs == ANY_SIZE and not exact) for ours, theirs in zip(dims, expected, strict=True)
    )


def _controls(config: ModelConfig) -> set[str]:
    """Return the names of the inputs that the sequence batcher fills."""
    batcher = config.sequence_batching
    return {control.name for control in batcher.control_input} | {state.input_name for state in batcher.state}


def _shown(shape: Sequence[int] | None) -> str:
    return "unknown" if shape is None else "[ " + ", ".join(map(str, shape)) + " ]" if shape else "[ ]"


def completed_batch_size(config: ModelConfig | None, graph: Graph | None) -> int:
    """Return `max_batch_size` as Triton completes it: Triton keeps it where inputs and outputs are configured."""
    size = int(config.max_batch_size) if config is not None else 0
    complete = config is not None and bool(config.input) and bool(config.output)
    if size == 0 and not complete and graph is not None and graph.batches:
        return DEFAULT_MAX_BATCH_SIZE
    return size


def config_tensors(tensors: Sequence[Any], max_batch_size: int) -> tuple[Tensor, ...]:
    """Describe a configuration's inputs or outputs as Triton's metadata does."""
    batch = (ANY_SIZE,) if max_batch_size > 0 else ()
    return tuple(
        Tensor(
            tensor.name,
            datatype_of(tensor.data_type),
            (*batch, *tensor.dims),
            optional=bool(getattr(tensor, "optional", False)),
            labels=getattr(tensor, "label_filename", "") or None,
            reshape=tuple(tensor.reshape.shape) if tensor.HasField("reshape") else None,
            ragged=bool(getattr(tensor, "allow_ragged_batch", False)),
        )
        for tensor in tensors
    )


def graph_tensors(tensors: Sequence[GraphTensor], max_batch_size: int) -> tuple[Tensor, ...]:
    """Describe a graph's inputs or outputs as Triton's metadata does after Triton completed the configuration.

    Triton has no tensor without dimensions. Where requests are batched, a tensor with one value for each request
    (labels, say) is [ -1, 1 ], reshaped. A scalar is [ 1 ]. A tensor of unknown rank has no shape.
    """
    return tuple(
        Tensor(tensor.name, tensor.datatype, (ANY_SIZE, 1), reshape=())
        if max_batch_size > 0 and tensor.shape is not None and len(tensor.shape) == 1
        else Tensor(tensor.name, tensor.datatype, () if tensor.shape is None else tensor.shape or (1,))
        for tensor in tensors
    )
