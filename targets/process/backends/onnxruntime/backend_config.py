"""The model configuration against the ONNX graph: completed from it where it is silent, checked where it speaks.

Configurations are Triton's `ModelConfig` as JSON (the form that Triton hands to Python-based backends).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from backend_limits import INDEPENDENT_ROWS, SERVED_TYPES, TRUE, unserved

DEFAULT_MAX_BATCH_SIZE = 4  # NVIDIA's default for `--backend-config=onnxruntime,default-max-batch-size`
VARIABLE = -1


class BackendError(Exception):
    """A model or a request that cannot be served; the text is shown to whoever deployed or asked."""


@dataclass(frozen=True)
class GraphTensor:
    """An input or output of the ONNX graph; `dims` has -1 for each variable dimension, the batch dimension included."""

    name: str
    data_type: str
    dims: tuple[int, ...]

    @property
    def batches(self) -> bool:
        """Whether the first dimension is free, as that of a batch is."""
        return bool(self.dims) and self.dims[0] == VARIABLE


def read_tensors(nodes: Iterable[Any]) -> tuple[GraphTensor, ...]:
    """The tensors that `InferenceSession.get_inputs()` or `get_outputs()` describes."""
    tensors = []
    for node in nodes:
        if node.type not in SERVED_TYPES:
            raise BackendError(
                f"tensor '{node.name}' of the ONNX graph has type {node.type}, which this backend cannot serve; "
                f"it serves {', '.join(SERVED_TYPES)}"
            )
        dims = tuple(size if isinstance(size, int) else VARIABLE for size in node.shape)
        tensors.append(GraphTensor(node.name, SERVED_TYPES[node.type], dims))
    return tuple(tensors)


def complete_config(
    config: dict[str, Any], inputs: Sequence[GraphTensor], outputs: Sequence[GraphTensor], *, apart: bool
) -> dict[str, Any]:
    """`config` with what its author left out, read from the graph: inputs, outputs, batch size and scheduler.

    Requests are merged only where the graph keeps rows `apart`; a request itself may have several in any case.
    """
    fixed = [tensor.name for tensor in (*inputs, *outputs) if not tensor.batches]
    max_batch_size = config.get("max_batch_size", 0)
    if max_batch_size > 0 and fixed:
        raise BackendError(
            f"max_batch_size is {max_batch_size}, but the ONNX graph does not batch: the first dimension of "
            f"{', '.join(fixed)} is not variable; set max_batch_size to 0 or export the graph with a batch dimension"
        )
    batching = not fixed
    if batching and max_batch_size == 0:
        max_batch_size = DEFAULT_MAX_BATCH_SIZE
    completed = {**config, "max_batch_size": max_batch_size}
    if apart and max_batch_size > 1 and not {"dynamic_batching", "sequence_batching"} & config.keys():
        completed["dynamic_batching"] = {}
    for key, tensors in (("input", inputs), ("output", outputs)):
        if not config.get(key):
            completed[key] = [_describe(tensor, batching) for tensor in tensors]
    return completed


def merges_requests(config: dict[str, Any]) -> bool:
    """Whether Triton may hand over several requests at once, to be run as one."""
    return config["max_batch_size"] > 1 and bool({"dynamic_batching", "sequence_batching"} & config.keys())


def says_rows_are_independent(config: dict[str, Any]) -> bool:
    """Whether the model's author vouches for what its graph does not prove."""
    return str(config.get("parameters", {}).get(INDEPENDENT_ROWS, {}).get("string_value", "")).lower() in TRUE


def _describe(tensor: GraphTensor, batching: bool) -> dict[str, Any]:
    dims = list(tensor.dims[1:] if batching else tensor.dims)
    described: dict[str, Any] = {"name": tensor.name, "data_type": tensor.data_type, "dims": dims or [1]}
    if batching and not dims:  # one value for each item of the batch: Triton wants a dimension, the graph has none
        described["reshape"] = {"shape": []}
    return described


def check_config(
    config: dict[str, Any],
    inputs: Sequence[GraphTensor],
    outputs: Sequence[GraphTensor],
    defaults: Sequence[GraphTensor] = (),
) -> None:
    """Raise BackendError where the configuration and the graph disagree on names, types or shapes.

    `defaults` are inputs that the graph has values for: they may be declared, and left out of requests.
    """
    controls = config.get("sequence_batching", {}).get("control_input", ())
    given = {tensor["name"] for tensor in (*config["input"], *controls)}
    problems = list(unserved(config))
    problems += [f"input '{tensor.name}' of the graph is not declared" for tensor in inputs if tensor.name not in given]
    batching = config["max_batch_size"] > 0
    for kind, tensors in (("input", (*inputs, *defaults)), ("output", outputs)):
        graph = {tensor.name: tensor for tensor in tensors}
        for declared in config[kind]:
            name = declared["name"]
            if name in graph:
                problems.extend(f"{kind} '{name}' {text}" for text in _mismatches(declared, graph[name], batching))
            else:
                problems.append(f"{kind} '{name}' is not in the graph, whose {kind}s are {', '.join(graph)}")
    if problems:
        raise BackendError(
            f"the configuration of '{config['name']}' does not fit its ONNX graph: {'; '.join(problems)}"
        )


def _mismatches(declared: dict[str, Any], tensor: GraphTensor, batching: bool) -> list[str]:
    problems = []
    if declared["data_type"] != tensor.data_type:
        problems.append(f"is declared as {declared['data_type']}, the graph has {tensor.data_type}")
    if batching and not tensor.batches:
        problems.append(f"has dims {list(tensor.dims)} in the graph: max_batch_size above 0 needs a variable first one")
        return problems
    wanted = [int(size) for size in declared.get("reshape", {}).get("shape", declared["dims"])]
    dims = list(tensor.dims[1:] if batching else tensor.dims)
    scalar = not batching and not dims and wanted == [1]
    fits = len(wanted) == len(dims) and all(size in (VARIABLE, want) for want, size in zip(wanted, dims, strict=True))
    if not fits and not scalar:
        problems.append(f"is declared with dims {wanted}, the graph has {dims}")
    return problems
