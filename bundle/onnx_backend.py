"""Check an ONNX model against the backend that will serve it: settings that it lacks, and requests that share runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.json_format import MessageToDict

from bundle.model_config import ModelConfig
from bundle.onnx_limits import INDEPENDENT_ROWS, TRUE, unserved
from bundle.row_proof import mixing

__all__ = ["batching_note", "unserved_problems"]

_VOUCH = f'parameters {{ key: "{INDEPENDENT_ROWS}" value: {{ string_value: "true" }} }}'


def unserved_problems(config: ModelConfig | None, shown: str) -> Iterator[str]:
    """Yield a line for each setting that the backend of target `process` lacks; `shown` is the configuration's path."""
    fields = MessageToDict(config, preserving_proto_field_name=True) if config is not None else {}
    yield from (f"{shown}: {text}" for text in unserved(fields))


def batching_note(
    config: ModelConfig | None, source: Path, max_batch_size: int, model_file: str, target: str
) -> Iterator[str]:
    """Yield a line where the graph does not prove that merged requests get their own rows back.

    The backend of target `process` then runs requests one by one. NVIDIA's backend, on the other targets, merges them.

    Args:
        config: The model's configuration.
        source: The model file.
        max_batch_size: The most rows of a batch.
        model_file: The model file's path, for the line.
        target: The target that will serve the model.
    """
    parameters = config.parameters if config is not None else {}
    vouched = INDEPENDENT_ROWS in parameters and parameters[INDEPENDENT_ROWS].string_value.lower() in TRUE
    if max_batch_size <= 1 or vouched:
        return
    complete = config is not None and bool(config.input) and bool(config.output)
    asked = config is not None and (config.HasField("dynamic_batching") or config.HasField("sequence_batching"))
    if complete and not asked:  # then Triton gives the backend one request at a time
        return
    reason = mixing(onnx.load(str(source), load_external_data=False))
    if not reason:
        return
    vouch = f"where each row of the answer comes from its own row alone, write {_VOUCH} into config.pbtxt"
    if target == "process":
        yield f"{model_file}: requests run one by one, not merged into batches: {reason}; {vouch}"
    else:
        yield (
            f"{model_file}: Triton merges clients' requests into batches, and the graph does not prove that each gets "
            f"its own rows back: {reason}; write max_batch_size: 0 into config.pbtxt, or, {vouch}"
        )
