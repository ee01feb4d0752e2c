"""Golden inferences of a new stack's models: ONNX Runtime answers a random request on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.bundle_types import Bundle, Golden, Model
from bundle.frameworks import ONNXRUNTIME
from bundle.golden_derivation import NotDerivable, derive

__all__ = ["NoGolden", "golden_of", "nested", "text_of"]


class NoGolden(ValueError):
    """A model cannot be asked on this machine; the message says why, without a full stop."""


def golden_of(bundle: Bundle, model: Model) -> Golden:
    """Return a model's own golden inference, or make one by running the model.

    Raises:
        NoGolden: It has none, and cannot be run here.
    """
    if model.golden is not None:
        return model.golden
    if model.backend != ONNXRUNTIME or model.model_file is None:
        raise NoGolden("only ONNX models run here without a server")
    source = next(file.source for file in bundle.files if file.path == model.model_file)
    try:
        return derive(source, model)
    except NotDerivable as error:
        raise NoGolden(str(error)) from None


def text_of(golden: Golden) -> str:
    """Write a golden inference as `golden.json`: a line for each tensor."""
    request = {key: value for key, value in golden.request.items() if key != "inputs"}
    others = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in request.items())
    tolerance = {"relative": golden.relative, "absolute": float(f"{golden.absolute:.3g}")}
    return (
        f'{{"request": {{"inputs": [\n{_lines(golden.request["inputs"])}\n]{others}}},\n'
        f'"response": {{"outputs": [\n{_lines(golden.response["outputs"])}\n]}},\n'
        f'"tolerance": {json.dumps(tolerance)}}}\n'
    )


def _lines(tensors: Sequence[dict[str, Any]]) -> str:
    return ",\n".join(json.dumps(tensor, ensure_ascii=False) for tensor in tensors)


def nested(tensor: dict[str, Any]) -> Any:
    """Nest the values of a golden inference's tensor, row by row."""
    values: list[Any] = tensor["data"]
    while values and isinstance(values[0], list):
        values = [value for row in values for value in row]
    for size in reversed(tensor["shape"][1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


def place_of(model: Model, folder: Path) -> Path:
    """Return the file of a model's golden inference in a bundle's folder."""
    inside = folder if folder.resolve().name == "triton" else folder / "triton"
    return inside / model.name / "golden.json"
