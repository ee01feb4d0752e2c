"""The types that describe a bundle: its files, its models, their tensors and their golden inferences."""

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

    Attributes:
        name: Its name.
        datatype: The protocol's name of its type (`FP32`, `INT64`, `BYTES`).
        shape: The whole shape, with the batch dimension where the model batches; -1 for a dimension that may vary.
        optional: Whether a request may leave the input out.
        labels: The file with the names of an output's classes.
        reshape: The shape in the model, without the batch dimension, where it differs.
        ragged: Whether requests of one batch may have different shapes of this input.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    labels: str | None = None
    reshape: tuple[int, ...] | None = None
    ragged: bool = False

    def to_json(self) -> dict[str, Any]:
        """Write the tensor as a JSON object."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "optional": self.optional,
            "labels": self.labels,
        }


@dataclass(frozen=True)
class Fed:
    """An input that the sequence batcher fills.

    Attributes:
        name: Its name.
        datatype: The protocol's name of its type.
        dims: Its dimensions, without the batch dimension.
        value: The value of each element in a request that is a whole sequence; None where the configuration gives the
            input no first value.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    value: float | bool | str | None


@dataclass(frozen=True)
class Sequences:
    """The sequence batcher of a model: the `correlation_id` to send, and the inputs that the batcher fills, `fed`."""

    correlation_id: int | str
    fed: tuple[Fed, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a request that is a whole sequence, so that Triton keeps no state of it."""
        return {"sequence_id": self.correlation_id, "sequence_start": True, "sequence_end": True}


@dataclass(frozen=True)
class Golden:
    """A golden inference: a request, the response that it must get, and the tolerance.

    A value passes when `|actual - expected| <= absolute + relative * |expected|`. The golden inference belongs to the
    highest version that Triton loads, which answers a request without a version.

    Attributes:
        request: The body of `POST /v2/models/<model>/infer`. Data are plain JSON lists, so that it can be sent as it
            is. Only FP16 and BF16 cannot: Triton takes these as binary data, which `serving.triton.tensors` makes.
        response: The expected answer, with `outputs`.
        relative: The relative tolerance.
        absolute: The absolute tolerance.
        derived: The program that derived it; None where a person wrote it.
    """

    request: dict[str, Any]
    response: dict[str, Any]
    relative: float = 1e-4
    absolute: float = 1e-5
    derived: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Write the golden inference in the format of `golden.json`, and `derived`."""
        return {
            "request": self.request,
            "response": self.response,
            "tolerance": {"relative": self.relative, "absolute": self.absolute},
            "derived": self.derived,
        }


@dataclass(frozen=True)
class Model:
    """A model of a bundle.

    Attributes:
        name: Its name.
        versions: The versions that Triton's version policy loads, ascending.
        backend: The backend, as Triton completes it.
        platform: The platform, as Triton completes it.
        max_batch_size: The most rows of a batch; 0 where requests are not batched.
        inputs: Its inputs; empty where neither the configuration nor the model file tells them. A Python model may
            declare them when it loads.
        outputs: Its outputs, or empty for the same reason.
        model_file: The path of the highest version's model file in the registered bundle; None for an ensemble.
        instance_kinds: The kinds of the configuration's instance groups (`KIND_CPU`, `KIND_GPU`, ...); empty where
            Triton chooses.
        golden: Its own golden inference.
        sequences: Its sequence batcher.
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
        """Write the model as a JSON object, for the registry's manifest and for outputs."""
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
    """A file of a bundle.

    Attributes:
        source: The file on this machine.
        path: Its path in the registered bundle, with `/`.
        content: The content to register in place of the file's own, where Triton would misread that.
    """

    source: Path
    path: str
    content: bytes | None = None

    def open(self) -> BinaryIO:
        """Open the content to register, for reading bytes."""
        return self.source.open("rb") if self.content is None else io.BytesIO(self.content)


@dataclass(frozen=True)
class Bundle:
    """A checked bundle.

    Attributes:
        root: Its folder.
        models: Its models; empty for a bundle without Triton's layout.
        files: Every file to register.
        notes: Lines for the user: what is unusual but accepted, and what is left out.
    """

    root: Path
    models: tuple[Model, ...]
    files: tuple[BundleFile, ...]
    notes: tuple[str, ...] = ()
