"""A model's `config.pbtxt`, parsed with Triton's own protobuf messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from bundle.config_messages import model_config_pb2
from bundle.problems import listed, nearest

CONFIG_FILE = "config.pbtxt"

# The generated module has no type stubs, so a configuration is `Any` here.
ModelConfig = Any


class ConfigError(ValueError):
    """A configuration does not parse; the message is one line that begins with the file."""


def parse_config(source: Path, shown: str) -> ModelConfig:
    """Parse a `config.pbtxt`.

    Args:
        source: The file.
        shown: The path that errors name, before line and column.

    Raises:
        ConfigError: The file is no text, or no `ModelConfig` in protobuf's text format.
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
    """Return the protocol's name (`FP32`, `BYTES`) of a configuration's data type."""
    name = str(model_config_pb2.DataType.Name(data_type)).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def configured(datatype: str) -> str:
    """Return the configuration's name (`TYPE_FP32`, `TYPE_STRING`) of a protocol's data type."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def instance_kinds(config: ModelConfig | None) -> tuple[str, ...]:
    """Return the kinds of a configuration's instance groups, each once; a group that names GPUs is of KIND_GPU."""
    groups = config.instance_group if config is not None else ()
    automatic = ("KIND_AUTO", "KIND_GPU")
    return tuple(
        dict.fromkeys("KIND_GPU" if group.gpus and kind_of(group) in automatic else kind_of(group) for group in groups)
    )


def kind_of(instance_group: Any) -> str:
    """Return the kind of an instance group, such as `KIND_CPU`."""
    return str(model_config_pb2.ModelInstanceGroup.Kind.Name(instance_group.kind))
