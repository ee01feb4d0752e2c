"""Check the settings of a model's scheduler as Triton's core does: batches, priorities, sequences, batch inputs.

The rules are those of `ValidateModelConfig`, `GetBooleanSequenceControlProperties`, `GetTypedSequenceControlProperties`
and `ValidateBatchIO` in Triton's core (`src/model_config_utils.cc`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from bundle.config_messages import model_config_pb2
from bundle.model_config import ModelConfig, configured, datatype_of
from bundle.problems import listed, nearest

_VALUES = ("int32_false_true", "fp32_false_true", "bool_false_true")
_CORRELATION = "CONTROL_SEQUENCE_CORRID"
_CORRELATION_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
_BATCH_INPUT_TYPES = ("TYPE_INT32", "TYPE_FP32")


def scheduling_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    """Yield a line for each mistake that Triton refuses in a configuration's schedulers."""
    yield from _batch_size_problems(config, shown)
    yield from _priority_problems(config.dynamic_batching, shown)
    if config.HasField("sequence_batching"):
        yield from _sequence_problems(config.sequence_batching, shown)
    for scheduler, present in (
        ("sequence_batching", config.HasField("sequence_batching")),
        ("decoupled", config.model_transaction_policy.decoupled),
    ):
        if present and config.response_cache.enable:
            yield f"{shown}: response_cache does not go with {scheduler}; remove one of the two"
    yield from _batch_io_problems(config, shown)


def _batch_size_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    preferred = [
        ("dynamic_batching", config.dynamic_batching.preferred_batch_size),
        ("sequence_batching", config.sequence_batching.oldest.preferred_batch_size),
    ]
    for batcher, sizes in preferred:
        for size in sizes:
            if not 0 < size <= config.max_batch_size:
                yield (
                    f"{shown}: preferred_batch_size of {batcher} is {size}, expected 1 to max_batch_size, "
                    f"which is {config.max_batch_size}"
                )


def _priority_problems(batching: Any, shown: str) -> Iterator[str]:
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        yield (
            f"{shown}: default_priority_level is {batching.default_priority_level}, expected 1 to priority_levels, "
            f"which is {levels}; set it"
        )
    for level in sorted(batching.priority_queue_policy) if levels else ():
        if not 1 <= level <= levels:
            yield (
                f"{shown}: priority_queue_policy is for level {level}, expected 1 to priority_levels, which is {levels}"
            )
    if not batching.preserve_ordering:
        return
    if levels > 1:
        yield f"{shown}: priority_levels is {levels}, expected 1 with preserve_ordering; remove one of the two"
    policies = [("default_queue_policy", batching.default_queue_policy)]
    policies += [(f"priority_queue_policy of level {k}", v) for k, v in sorted(batching.priority_queue_policy.items())]
    for name, policy in policies:
        if policy.default_timeout_microseconds and policy.timeout_action == model_config_pb2.ModelQueuePolicy.DELAY:
            yield f"{shown}: {name} has timeout_action DELAY, expected REJECT with preserve_ordering; change one"


def _sequence_problems(batching: Any, shown: str) -> Iterator[str]:
    kinds: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for position, tensor in enumerate(batching.control_input):
        name = f"control_input '{tensor.name}'" if tensor.name else f"control_input number {position + 1}"
        if not tensor.name:
            yield f"{shown}: {name} of sequence_batching has no name; add one"
        elif names[tensor.name]:
            yield f"{shown}: {name} of sequence_batching is there twice; put its controls together, or rename one"
        names[tensor.name] += 1
        for control in tensor.control:
            kind = str(model_config_pb2.ModelSequenceBatching.Control.Kind.Name(control.kind))
            if kinds[kind]:
                yield f"{shown}: {kind} of sequence_batching is there twice; remove one"
            kinds[kind] += 1
            yield from _control_problems(control, kind, name, shown)
    if not 0 <= batching.direct.minimum_slot_utilization <= 1:
        value = f"{batching.direct.minimum_slot_utilization:g}"
        yield f"{shown}: minimum_slot_utilization is {value}; expected a number from 0 to 1"


def _control_problems(control: Any, kind: str, name: str, shown: str) -> Iterator[str]:
    given = [value for value in _VALUES if len(getattr(control, value))]
    if kind == _CORRELATION:
        datatype = configured(datatype_of(control.data_type))
        if given:
            yield f"{shown}: {name} has {listed(given)}, and {kind} takes none; remove it"
        if datatype not in _CORRELATION_TYPES:
            yield f"{shown}: {name} has data_type {datatype}; expected one of {listed(_CORRELATION_TYPES)} for {kind}"
    elif len(given) != 1:
        yield f"{shown}: {name} has {listed(given)} of {listed(_VALUES)} for {kind}; expected one of them"
    elif len(getattr(control, given[0])) != 2:
        yield f"{shown}: {name} has {len(getattr(control, given[0]))} values in {given[0]} for {kind}; expected 2"


def _batch_io_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    inputs, outputs = [tensor.name for tensor in config.input], [tensor.name for tensor in config.output]
    for kind, batch_tensors in (("batch_input", config.batch_input), ("batch_output", config.batch_output)):
        for tensor in batch_tensors:
            name = f"{kind} {listed(repr(target) for target in tensor.target_name)}"
            if len(tensor.source_input) != 1:
                yield f"{shown}: {name} has {len(tensor.source_input)} values of source_input; expected 1"
            for source in tensor.source_input:
                if inputs and source not in inputs:
                    yield (
                        f"{shown}: {name} has the source_input '{source}', which is no input; expected one of "
                        f"{listed(inputs)}{nearest(source, inputs)}"
                    )
    for tensor in config.batch_input:
        datatype = configured(datatype_of(tensor.data_type))
        if datatype not in _BATCH_INPUT_TYPES:
            yield (
                f"{shown}: batch_input {listed(map(repr, tensor.target_name))} has data_type {datatype}; "
                f"expected one of {listed(_BATCH_INPUT_TYPES)}"
            )
    for tensor in config.batch_output:
        for target, count in Counter(tensor.target_name).items():
            if outputs and target not in outputs:
                yield (
                    f"{shown}: batch_output '{target}' is no output; expected one of {listed(outputs)}"
                    f"{nearest(target, outputs)}"
                )
            if count > 1:
                yield f"{shown}: batch_output '{target}' is there {count} times in target_name; expected it once"
