"""Derive a golden inference from an ONNX model: run it with ONNX Runtime on the CPU, on seeded random input.

`RULES` of `manifest_models` counts the versions of the rules in this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bundle.bfloat16 import BFLOAT16, run_halves
from bundle.bundle_types import ANY_SIZE, Fed, Golden, Model, Tensor
from bundle.onnx_session import LoadError, load_session
from bundle.random_tensors import Array, random_values, to_json
from bundle.reshaping import client_shape, model_shape

SEED = 20201
SIZES = (1, 2, 4, 16, 64, 224)
"""The sizes to try for dimensions that vary, smallest first: an image model may refuse an image of one pixel."""

MOST_VALUES = 400_000
"""A golden inference with more values is a burden: every probe of a replica sends it."""

RELATIVE = {"FP16": 1e-2, "BF16": 5e-2}
"""The relative tolerances of models that compute with few digits."""
RELATIVE_ELSE = 1e-3
"""The relative tolerance of other models: a GPU computes with fewer digits (TF32) than the CPU here."""


class NotDerivable(ValueError):
    """No golden inference can be derived for a model; the message says why, without a full stop."""


class _Refused(Exception):
    """The model refuses this input; another size or kind of text may do."""


def derive(path: Path, model: Model) -> Golden:
    """Derive a golden inference for the ONNX model in a file.

    Models with the same interface get the same input: floats from 0 to 1 with three decimals, integers 0 and 1, words
    (or digits, where the model refuses words), and the smallest size that the model takes for dimensions that vary. An
    optional input is left out where the graph has a default for it. A sequence model gets a sequence of one request.
    The tolerance allows for a GPU's arithmetic: relative 1e-3, absolute 1e-3 of the largest value, and more for 16-bit
    floats.

    Raises:
        NotDerivable: The model refuses random input, or its outputs are not finite or not the same twice.
    """
    for tensor in model.inputs:
        if tensor.ragged:
            raise NotDerivable(f"the input '{tensor.name}' is ragged: what the model gets depends on the batch")
    try:
        session = load_session(path)
    except LoadError as error:
        raise NotDerivable(f"ONNX Runtime does not load it: {error}") from None
    if not model.inputs:
        raise NotDerivable("it has no inputs")
    inference = _Inference(session, model)
    reason = ""
    for size in SIZES:
        shapes = [inference.sized(tensor, size) for tensor in inference.given]
        if sum(math.prod(shape) for shape in shapes) > MOST_VALUES:
            reason = f"its input has more than {MOST_VALUES} values"
            break
        for words in inference.vocabularies:
            try:
                return inference.golden(shapes, size, words=words)
            except _Refused as error:
                reason = str(error)
    raise NotDerivable(reason)


@dataclass(frozen=True)
class _Inference:
    """Inferences of one model, as Triton's clients ask for them."""

    session: onnxruntime.InferenceSession
    model: Model

    @property
    def given(self) -> list[Tensor]:
        """Return the inputs that the request gives."""
        required = {value.name for value in self.session.get_inputs()}
        needed = [tensor for tensor in self.model.inputs if not tensor.optional or tensor.name in required]
        return needed or list(self.model.inputs)  # Triton takes no request without an input

    @property
    def batched(self) -> bool:
        """Tell whether requests are batched."""
        return self.model.max_batch_size > 0

    @property
    def vocabularies(self) -> tuple[bool, ...]:
        """Return the kinds of text to try: words (True) and digits (False) where an input is text."""
        return (True, False) if any(tensor.datatype == "BYTES" for tensor in self.given) else (True,)

    def sized(self, tensor: Tensor, size: int) -> tuple[int, ...]:
        """Return an input's shape: `size` for dimensions that vary, and one row where requests are batched."""
        sizes = [size if dim == ANY_SIZE else dim for dim in tensor.shape]
        return (1, *sizes[1:]) if self.batched and sizes else tuple(sizes)

    def golden(self, shapes: Sequence[tuple[int, ...]], size: int, *, words: bool) -> Golden:
        """Run the model on inputs with these shapes and make the golden inference."""
        random = np.random.default_rng(SEED)
        arrays = {
            tensor.name: random_values(random, tensor.datatype, shape, words=words)
            for tensor, shape in zip(self.given, shapes, strict=True)
        }
        feeds = {
            tensor.name: array.reshape(model_shape(tensor, array.shape, batched=self.batched))
            for tensor, array in zip(self.given, arrays.values(), strict=True)
        }
        # A state without a first value must not matter to the answer: two different values must give the same.
        first, second = (self._run({**feeds, **self._fed(size, unset)}) for unset in (0, 1))
        self._require_steady(first, second)
        outputs = self.model.outputs
        results = [self._as_clients_get_it(tensor, array) for tensor, array in zip(outputs, first, strict=True)]
        request: dict[str, Any] = {"inputs": [to_json(t.name, t.datatype, arrays[t.name]) for t in self.given]}
        if self.model.sequences is not None:
            request["parameters"] = self.model.sequences.parameters
        relative = max(RELATIVE.get(tensor.datatype, RELATIVE_ELSE) for tensor in (*self.given, *outputs))
        return Golden(
            request=request,
            response={
                "outputs": [to_json(t.name, t.datatype, array) for t, array in zip(outputs, results, strict=True)]
            },
            relative=relative,
            absolute=_absolute(results, relative),
            derived={"with": f"ONNX Runtime {onnxruntime.__version__}"},
        )

    def _as_clients_get_it(self, tensor: Tensor, array: Array) -> Array:
        try:
            return array.reshape(client_shape(tensor, array.shape, batched=self.batched))
        except ValueError:
            shape = tensor.shape if tensor.reshape is None else tensor.reshape
            raise _Refused(f"its output '{tensor.name}' has the shape {array.shape}, not {shape}") from None

    def _fed(self, size: int, unset: int) -> dict[str, Array]:
        """Make the inputs that the sequence batcher fills, with `unset` for those without a first value."""
        fed = self.model.sequences.fed if self.model.sequences is not None else ()
        return {one.name: self._filled(one, size, unset) for one in fed}

    def _filled(self, one: Fed, size: int, unset: int) -> Array:
        dims = [size if dim == ANY_SIZE else dim for dim in one.dims]
        value = unset if one.value is None else one.value
        array = random_values(np.random.default_rng(SEED), one.datatype, (1, *dims) if self.batched else tuple(dims))
        array[...] = str(value) if one.datatype == "BYTES" else value
        return array

    def _run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Run the model and return its outputs, BF16 as float32."""
        inputs = {value.name: value for value in self.session.get_inputs()}
        scalars = {name for name, value in inputs.items() if value.shape == []}
        values = {name: array.reshape(()) if name in scalars else array for name, array in feeds.items()}
        names = [tensor.name for tensor in self.model.outputs]
        halves = {value.name for value in (*inputs.values(), *self.session.get_outputs()) if value.type == BFLOAT16}
        try:
            if halves:
                return run_halves(self.session, names, values, halves)
            return [np.asarray(result) for result in self.session.run(names, values)]
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            raise _Refused(f"it does not take random input: {_first_line(error)}") from None

    def _require_steady(self, first: Sequence[Array], second: Sequence[Array]) -> None:
        if sum(result.size for result in first) > MOST_VALUES:
            raise NotDerivable(f"its output has more than {MOST_VALUES} values")
        for tensor, one, other in zip(self.model.outputs, first, second, strict=True):
            if one.dtype.kind == "f" and not np.isfinite(one).all():
                raise _Refused(f"its output '{tensor.name}' is not finite on random input")
            if one.size == 0:
                raise _Refused(f"its output '{tensor.name}' is empty on random input")
            if not np.array_equal(one, other):
                unset = any(fed.value is None for fed in self.model.sequences.fed) if self.model.sequences else False
                why = "depends on a state that has no initial_state" if unset else "is not the same twice"
                raise NotDerivable(f"its output '{tensor.name}' {why}")


def _absolute(results: Sequence[Array], relative: float) -> float:
    largest = [float(np.abs(result).max()) for result in results if result.dtype.kind == "f"]
    return max(relative * min(filter(None, largest), default=0.0), Golden.absolute)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
