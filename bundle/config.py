"""A model's `config.pbtxt`: parsed with Triton's own protobuf, and checked by the rules that Triton's core applies.

The rules are those of `ValidateModelConfig`, `ValidateModelIOConfig` and `ValidateIOShape` in Triton's core
(`src/model_config_utils.cc`), as far as they concern one configuration by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from bundle.frameworks import BACKENDS, ENSEMBLE, PLATFORMS
from bundle.model import ANY_SIZE
from bundle.problems import listed, nearest

CONFIG_FILE = "config.pbtxt"

# The generated module has no type stubs, so a configuration is `Any` here.
ModelConfig = Any


class ConfigError(ValueError):
    """A configuration that does not parse; the message is one line that begins with the file."""


def parse_config(source: Path, shown: str) -> ModelConfig:
    """Parses a `config.pbtxt`; `shown` is the path that errors name, followed by line and column.

    Raises:
        ConfigError: the file is no text, or no `ModelConfig` in protobuf's text format.
    """
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown}: no UTF-8 text (byte {error.start}); expected protobuf text format; save it as UTF-8"
        ) from None
    if text.startswith("\ufeff"):
        raise ConfigError(
            f"{shown}:1:1: begins with a byte order mark, which Triton's parser refuses; save it as UTF-8 without one"
        )
    config = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ConfigError(_parse_problem(error, shown)) from None
    return config


def _parse_problem(error: text_format.ParseError, shown: str) -> str:
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    # The message begins with `line:column : `, and then, for some mistakes, repeats the line in quotes.
    reason = re.sub(r"^\d+:\d+ : ('.*': )?", "", str(error), flags=re.DOTALL).strip().rstrip(".")
    reason = " ".join(reason.split())
    return f"{shown}:{line}:{column}: does not parse: {reason}{_suggestion(reason)}"


def _suggestion(reason: str) -> str:
    unknown_field = re.search(r'Message type "([\w.]+)" has no field named "(\w+)"', reason)
    if unknown_field:
        return nearest(unknown_field[2], _fields_of(unknown_field[1]))
    unknown_value = re.search(r'Enum type "([\w.]+)" has no value named (\w+)', reason)
    if unknown_value:
        enum = model_config_pb2.DESCRIPTOR.pool.FindEnumTypeByName(unknown_value[1])
        return f"; expected one of {listed(enum.values_by_name)}"
    return ""


def _fields_of(message: str) -> Sequence[str]:
    return list(model_config_pb2.DESCRIPTOR.pool.FindMessageTypeByName(message).fields_by_name)


def datatype_of(data_type: int) -> str:
    """The protocol's name (`FP32`, `BYTES`) of a configuration's data type."""
    name = str(model_config_pb2.DataType.Name(data_type)).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def configured(datatype: str) -> str:
    """The configuration's name (`TYPE_FP32`, `TYPE_STRING`) of a protocol's data type."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def instance_kinds(config: ModelConfig | None) -> tuple[str, ...]:
    """The kinds of a configuration's instance groups, each once."""
    groups = config.instance_group if config is not None else ()
    return tuple(dict.fromkeys(model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind) for group in groups))


def config_problems(config: ModelConfig, shown: str, folder: str) -> Iterator[str]:
    """What Triton refuses in a configuration by itself, whatever the model file says; one line each."""
    if config.name and config.name != folder:
        yield (
            f"{shown}: name is '{config.name}', expected '{folder}', the name of its folder; "
            "change one of them or leave the name out"
        )
    if config.max_batch_size < 0:
        yield f"{shown}: max_batch_size is {config.max_batch_size}, expected 0 (no batching) or more"
    if config.platform and config.platform not in PLATFORMS and not config.backend:
        yield (
            f"{shown}: platform '{config.platform}' is unknown; "
            f"expected one of {listed(PLATFORMS)}{nearest(config.platform, PLATFORMS)}"
        )
    if config.platform == ENSEMBLE and config.backend:
        yield f"{shown}: an ensemble has no backend, this one has '{config.backend}'; remove the line 'backend'"
    if config.backend == ENSEMBLE:
        yield f"{shown}: backend is 'ensemble', which is a platform; write platform: \"ensemble\" instead"
    if config.HasField("ensemble_scheduling") and config.platform != ENSEMBLE:
        yield (
            f"{shown}: ensemble_scheduling needs platform: \"ensemble\", this model has '{config.platform}'; "
            "add it or remove the scheduling"
        )
    for kind, tensors in (("input", config.input), ("output", config.output)):
        yield from _tensor_problems(tensors, kind, shown, config.max_batch_size)
    yield from _batching_problems(config, shown)


def backend_problems(config: ModelConfig, shown: str, libraries: Sequence[str]) -> Iterator[str]:
    """A backend that no target has and whose library (`libtriton_<backend>.so`) is not in the bundle either."""
    backend = config.backend
    if backend and backend != ENSEMBLE and backend not in BACKENDS and f"libtriton_{backend}.so" not in libraries:
        yield (
            f"{shown}: backend '{backend}' is unknown; expected one of {listed(BACKENDS)}, or its library "
            f"'libtriton_{backend}.so' beside the model file{nearest(backend, BACKENDS)}"
        )


def _tensor_problems(tensors: Sequence[Any], kind: str, shown: str, max_batch_size: int) -> Iterator[str]:
    names: set[str] = set()
    for position, tensor in enumerate(tensors):
        name = f"{kind} '{tensor.name}'" if tensor.name else f"{kind} number {position + 1}"
        if not tensor.name:
            yield f"{shown}: {name} has no name; add one"
        elif tensor.name in names:
            yield f"{shown}: {name} is there twice; remove one"
        names.add(tensor.name)
        if not tensor.data_type:
            yield f"{shown}: {name} has no data_type; add one, such as TYPE_FP32"
        if not tensor.dims:
            yield f"{shown}: {name} has no dims; add them, such as dims: [ -1 ]"
        wrong = [dim for dim in (*tensor.dims, *tensor.reshape.shape) if dim < 1 and dim != ANY_SIZE]
        if wrong:
            yield f"{shown}: {name} has a dimension {wrong[0]}; expected 1 or more, or -1 for one that varies"
        elif tensor.HasField("reshape"):
            yield from _reshape_problems(tensor, name, shown, max_batch_size)


def _reshape_problems(tensor: Any, name: str, shown: str, max_batch_size: int) -> Iterator[str]:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not shape and max_batch_size == 0:
        yield f"{shown}: {name} has an empty reshape, which needs max_batch_size of 1 or more; remove the reshape"
    elif _runs(dims) != _runs(shape):
        yield (
            f"{shown}: {name} has dims {dims} and reshape {shape}, which differ in their number of elements; "
            "make them agree"
        )


def _runs(dims: Sequence[int]) -> list[int]:
    """The number of elements between the dimensions that vary: what a reshape must keep."""
    runs: list[list[int]] = [[]]
    for dim in dims:
        if dim == ANY_SIZE:
            runs.append([])
        else:
            runs[-1].append(dim)
    return [prod(run) for run in runs]


def _batching_problems(config: ModelConfig, shown: str) -> Iterator[str]:
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
