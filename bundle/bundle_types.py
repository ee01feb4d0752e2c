"""The vocabulary of the package: a bundle, its models, their tensors and their golden inferences."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

ANY_SIZE = -1
"""The size of a dimension that may vary, as Triton writes it."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model, as Triton's metadata shows it.

    `datatype` is the protocol's name (`FP32`, `INT64`, `BYTES`). `shape` is the whole shape, with the batch dimension
    where the model batches; a dimension that may vary is -1. `labels` is the file with the classes' names. `reshape` is
    the shape in the model, without the batch dimension, where it is another one. Of a `ragged` input, requests of one
    batch may have different shapes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    labels: str | None = None
    reshape: tuple[int, ...] | None = None
    ragged: bool = False

    def to_json(self) -> dict[str, Any]:
        """The tensor as a JSON object."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "optional": self.optional,
            "labels": self.labels,
        }


@dataclass(frozen=True)
class Fed:
    """An input that the sequence batcher fills; `dims` without a batch dimension.

    `value` is that of each element in a request which starts and ends its sequence; None where the configuration gives
    the input no first value.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    value: float | bool | str | None


@dataclass(frozen=True)
class Sequences:
    """A model that keeps requests of one sequence together: which `correlation_id` to send, and what is `fed` to it."""

    correlation_id: int | str
    fed: tuple[Fed, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a request that is a whole sequence, so that nothing of it stays behind in Triton."""
        return {"sequence_id": self.correlation_id, "sequence_start": True, "sequence_end": True}


@dataclass(frozen=True)
class Golden:
    """A golden inference: a request, the response it must get, and how far off the response may be.

    `request` is the body of `POST /v2/models/<model>/infer`, `response` holds `outputs`; data are plain JSON lists, so
    both can be sent as they are, but for FP16 and BF16: Triton takes these as binary data only, and
    `serving.triton.tensors` makes them so. A value passes when
    `|actual - expected| <= absolute + relative * |expected|`. It belongs to the model's highest version that Triton
    loads: the one that answers a request without a version. `derived` says with what it was made, where nobody wrote
    it.
    """

    request: dict[str, Any]
    response: dict[str, Any]
    relative: float = 1e-4
    absolute: float = 1e-5
    derived: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The golden inference in the format of `golden.json`, and `derived`."""
        return {
            "request": self.request,
            "response": self.response,
            "tolerance": {"relative": self.relative, "absolute": self.absolute},
            "derived": self.derived,
        }


@dataclass(frozen=True)
class Model:
    """A model of a bundle.

    `versions` are those that Triton's version policy loads, ascending. `backend` and `platform` are as Triton
    completes them. `max_batch_size` 0 means that requests are not batched. `inputs` and `outputs` are empty where
    neither the configuration nor the model file tells them (a Python model may declare them when it loads).
    `model_file` is the highest version's, with its path in the registered bundle; an ensemble has none.
    `instance_kinds` are those of the configuration's instance groups (`KIND_CPU`, `KIND_GPU`, ...), none where Triton
    chooses. `sequences` is there where the model keeps requests of one sequence together.
    """

    name: str
    versions: tuple[int, ...]
    backend: str
    platform: str
    max_batch_size: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    model_file: str | None
    instance_kinds: tuple[str, ...] = ()
    golden: Golden | None = None
    sequences: Sequences | None = None

    def to_json(self) -> dict[str, Any]:
        """The model as a JSON object, for the registry's manifest and for outputs."""
        return {
            "name": self.name,
            "versions": list(self.versions),
            "backend": self.backend,
            "platform": self.platform,
            "maxBatchSize": self.max_batch_size,
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "outputs": [tensor.to_json() for tensor in self.outputs],
            "modelFile": self.model_file,
            "instanceKinds": list(self.instance_kinds),
            "golden": self.golden.to_json() if self.golden else None,
        }


@dataclass(frozen=True)
class BundleFile:
    """A file of a bundle: where it is read from, and the path (with `/`) that it gets in the registered bundle.

    `content` is what is registered in place of the file's own, where that is not as Triton reads it.
    """

    source: Path
    path: str
    content: bytes | None = None

    def open(self) -> BinaryIO:
        """What is registered, open for reading bytes."""
        return self.source.open("rb") if self.content is None else io.BytesIO(self.content)


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: every file that is registered, the models in it, and notes for the reader.

    `models` is empty for a bundle without Triton's layout. `notes` are one line each: what was accepted though it is
    unusual, and what was left out.
    """

    root: Path
    models: tuple[Model, ...]
    files: tuple[BundleFile, ...]
    notes: tuple[str, ...] = ()
