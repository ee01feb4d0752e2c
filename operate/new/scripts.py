"""The entry script of a new stack that asks a model on Triton, and its golden request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bundle.bundle_types import Golden, Model, Tensor
from operate.new.goldens import nested

__all__ = ["Script", "script_for"]

MOST_BYTES = 1 << 18
"""Of a script's golden request: every probe sends it, and the state keeps it."""
_OWN_RELATIVE = 1e-3
"""The largest tolerance of a model on whose answers a script's golden request, which allows 1e-4, is built."""
_NUMPY = {
    "BOOL": "np.bool_",
    **{f"{sign}INT{bits}": f"np.{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "FP16": "np.float16",
    "BF16": "np.float32",
    "FP32": "np.float32",
    "FP64": "np.float64",
    "BYTES": "np.object_",
}
_LONGEST_LINE = 110


@dataclass(frozen=True, kw_only=True)
class Script:
    """An entry script: its text, its golden request, and why it has none; "" where it has one."""

    text: str
    golden: dict[str, Any] | None = None
    why_no_golden: str = ""


def script_for(model: Model, golden: Golden | None, *, gpu: bool) -> Script:
    """Write the script that asks a model for all its outputs.

    Args:
        model: The model, with its inputs and outputs.
        golden: Its golden inference, where it has one.
        gpu: Whether the service has GPUs.
    """
    text = script_text(model, golden)
    if golden is None:
        return Script(text=text, why_no_golden="the model has no golden inference")
    if gpu or golden.relative > _OWN_RELATIVE:
        return Script(text=text, why_no_golden="it allows 1e-4 of a number, and the model's answers differ more")
    answered = {tensor["name"]: tensor for tensor in golden.response["outputs"]}
    if "outputs" in golden.request or len(answered) < len(model.outputs):
        return Script(text=text, why_no_golden="the model's golden inference asks for some outputs, or for classes")
    content = {
        "request": {tensor["name"]: nested(tensor) for tensor in golden.request["inputs"]},
        "response": {tensor.name: nested(answered[tensor.name]) for tensor in model.outputs},
    }
    if len(json.dumps(content)) > MOST_BYTES:
        return Script(
            text=text, why_no_golden=f"it would have more than {MOST_BYTES >> 10} KiB, and every probe sends it"
        )
    return Script(text=text, golden=content)


def script_text(model: Model, golden: Golden | None) -> str:
    """Write the script's source."""
    texts = any(tensor.datatype == "BYTES" for tensor in model.outputs)
    optional = {tensor.name for tensor in model.inputs if tensor.optional}
    given = [tensor["name"] for tensor in golden.request["inputs"]] if golden else [t.name for t in model.inputs]
    required = [t.name for t in model.inputs if t.name not in optional] or given[:1]
    return _TEXT.format(
        model=_plain(model.name),
        quoted=_quoted(model.name),
        example=_example(model, golden),
        inputs=_block(f"{_quoted(t.name)}: {_tensor(t)}" for t in model.inputs),
        required=_list(required),
        outputs=_list(t.name for t in model.outputs),
        sequence=_sequence(model),
        plain=_PLAIN_TEXTS if texts else _PLAIN_NUMBERS,
    )


def _tensor(tensor: Tensor) -> str:
    shape = ", ".join(map(str, tensor.shape)) + ("," if len(tensor.shape) == 1 else "")
    return f'("{tensor.datatype}", {_NUMPY[tensor.datatype]}, ({shape}))'


def _block(lines: Iterable[str]) -> str:
    return "".join(f"    {line},\n" for line in lines)


def _list(names: Iterable[str]) -> str:
    quoted = [_quoted(name) for name in names]
    line = f"[{', '.join(quoted)}]"
    return line if len(line) < _LONGEST_LINE - 10 else f"[\n{_block(quoted)}]"


def _sequence(model: Model) -> str:
    """Have each request be a whole sequence, where the model serves sequences."""
    if model.sequences is None:
        return "client.infer(MODEL, inputs, outputs=outputs)"
    number = _quoted(model.sequences.correlation_id)
    return (
        "client.infer(\n        MODEL, inputs, outputs=outputs, "
        f"sequence_id={number}, sequence_start=True, sequence_end=True\n    )"
    )


def _example(model: Model, golden: Golden | None) -> str:
    if golden is not None:
        line = json.dumps({tensor["name"]: nested(tensor) for tensor in golden.request["inputs"]})
        if len(line) <= _LONGEST_LINE and _plain(line) == line:
            return line
    line = ", ".join(
        f'"{tensor.name}": {"[" * len(tensor.shape)}...{"]" * len(tensor.shape)}' for tensor in model.inputs
    )
    return f"{{{_plain(line)}}}" if len(line) <= _LONGEST_LINE else '{"<input>": [...], ...}'


def _quoted(value: object) -> str:
    return json.dumps(value) if str(value).isprintable() else ascii(value)


def _plain(text: str) -> str:
    """Make a text that a docstring can hold."""
    return "".join(character if character.isprintable() and character != "\\" else "?" for character in text).replace(
        '"""', "???"
    )


_TEXT = '''\
"""Entry script: asks the model `{model}` on Triton.

    {example}

answers with an object of the model's outputs. Each input and output stands under its name, as nested lists.
"""

import json

import numpy as np
import tritonhttpclient

MODEL = {quoted}
INPUTS = {{  # by name: Triton's type, numpy's, and the shape, in which -1 is any size
{inputs}}}
REQUIRED = {required}
OUTPUTS = {outputs}


def init():
    """Make the client that all requests use; `localhost:8000` is the Triton of this deployment, on every target."""
    global client
    client = tritonhttpclient.InferenceServerClient("localhost:8000")


def run(raw_data):
    """Ask the model; ValueError, which the client gets as 400, where the request is none that the model takes."""
    request = json.loads(raw_data)
    missing = [name for name in REQUIRED if not isinstance(request, dict) or name not in request]
    if missing:
        raise ValueError(f"expected a JSON object with {{', '.join(REQUIRED)}}; {{', '.join(missing)}} is missing")
    inputs = [tensor(name, request[name]) for name in INPUTS if name in request]
    outputs = [tritonhttpclient.InferRequestedOutput(name) for name in OUTPUTS]
    answer = {sequence}
    return {{name: plain(answer.as_numpy(name)) for name in OUTPUTS}}


def tensor(name, values):
    """Make the tensor of an input from nested lists."""
    datatype, dtype, shape = INPUTS[name]
    try:
        array = np.array(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{{name}}: expected nested lists of {{datatype}} in the shape {{list(shape)}}") from None
    if array.ndim != len(shape) or any(size not in (-1, found) for size, found in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{{name}}: expected the shape {{list(shape)}}, -1 for any size; found {{list(array.shape)}}")
    given = tritonhttpclient.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


{plain}'''

_PLAIN_NUMBERS = '''\
def plain(array):
    """Turn an output into nested lists."""
    return array.tolist()
'''

_PLAIN_TEXTS = '''\
def plain(array):
    """Turn an output into nested lists; Triton's texts are bytes."""
    if array.dtype == np.object_:
        array = np.array([text.decode() for text in array.ravel()], dtype=np.object_).reshape(array.shape)
    return array.tolist()
'''
