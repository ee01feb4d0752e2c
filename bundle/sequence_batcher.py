"""Triton's sequence batcher: the correlation id of a request, and the inputs that the batcher fills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bundle.bundle_types import Fed, Sequences
from bundle.config_messages import model_config_pb2
from bundle.model_config import ModelConfig, datatype_of

CORRELATION_ID = 1_414_678_867
"""The correlation id of derived golden inferences: an arbitrary number that fits every type of id."""

_CONTROL = model_config_pb2.ModelSequenceBatching.Control


def read_sequences(config: ModelConfig | None) -> Sequences | None:
    """Read the sequence batcher of a configuration; None where it has none."""
    if config is None or not config.HasField("sequence_batching"):
        return None
    batcher = config.sequence_batching
    identifiers = [
        datatype_of(control.data_type)
        for given in batcher.control_input
        for control in given.control
        if control.kind == _CONTROL.CONTROL_SEQUENCE_CORRID
    ]
    correlation_id = str(CORRELATION_ID) if "BYTES" in identifiers else CORRELATION_ID
    return Sequences(correlation_id, (*_controls(batcher, correlation_id), *_states(batcher)))


def _controls(batcher: Any, correlation_id: int | str) -> Iterator[Fed]:
    for given in batcher.control_input:
        for control in given.control:
            if control.kind == _CONTROL.CONTROL_SEQUENCE_CORRID:
                yield Fed(given.name, datatype_of(control.data_type), (1,), correlation_id)
                continue
            # The request starts and ends its sequence and is no padding, so every control is true.
            for datatype, pair in (
                ("INT32", control.int32_false_true),
                ("FP32", control.fp32_false_true),
                ("BOOL", control.bool_false_true),
            ):
                if len(pair) == 2:
                    yield Fed(given.name, datatype, (1,), pair[1])


def _states(batcher: Any) -> Iterator[Fed]:
    for state in batcher.state:
        initial = next(iter(state.initial_state), None)
        zero = initial is not None and initial.WhichOneof("state_data") == "zero_data"
        dims = tuple(initial.dims) if initial is not None and initial.dims else tuple(state.dims)
        yield Fed(state.input_name, datatype_of(state.data_type), dims, 0.0 if zero else None)
