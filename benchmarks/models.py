"""The models that are served: digits (small), the same without batching, and DenseNet-121 (a real compute load)."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx.backend.test

__all__ = ["DENSENET", "DIGITS", "UNBATCHED", "Model", "write_repository"]

PROJECT = Path(__file__).resolve().parents[1]
DIGITS_FILE = PROJECT / "model_repository/triton/digits/1/model.onnx"
DENSENET_FILE = Path(onnx.backend.test.__file__).parent / "data/light/light_densenet121.onnx"


@dataclass(frozen=True)
class Model:
    """A model with its one input of 32-bit floats and the output that is asked for; `config` is its `config.pbtxt`."""

    name: str
    file: Path
    input: str
    shape: tuple[int, ...]
    output: str
    config: str = ""

    def values(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """The input of each request: whole numbers from 0 to 16, as in a scan."""
        return np.random.default_rng(7).integers(0, 17, int(np.prod(self.shape))).astype(np.float32)

    def scoring_json(self) -> bytes:
        """The body of a request to the entry script."""
        return json.dumps({"data": self.values().tolist()}).encode()

    def scoring_binary(self) -> bytes:
        """The same as the tensor's bytes."""
        return self.values().tobytes()

    def triton_json(self) -> bytes:
        """The body of a request to Triton, in JSON."""
        return json.dumps(self._inference({"data": self.values().tolist()}, binary=False)).encode()

    def triton_binary(self) -> tuple[bytes, dict[str, str]]:
        """The body of a request to Triton as a binary tensor, and the header that it takes."""
        content = self.values().tobytes()
        head = json.dumps(self._inference({"parameters": {"binary_data_size": len(content)}}, binary=True)).encode()
        return head + content, {"Inference-Header-Content-Length": str(len(head))}

    def _inference(self, data: dict[str, object], *, binary: bool) -> dict[str, object]:
        return {
            "inputs": [{"name": self.input, "shape": self.shape, "datatype": "FP32", **data}],
            "outputs": [{"name": self.output, "parameters": {"binary_data": binary}}],
        }


DIGITS = Model("digits", DIGITS_FILE, "image", (1, 8, 8), "label")
# Without `max_batch_size` above 1 nothing is batched; without a configuration the backend batches up to 4.
UNBATCHED = Model("digits_unbatched", DIGITS_FILE, "image", (1, 8, 8), "label", "max_batch_size: 1\n")
DENSENET = Model("densenet", DENSENET_FILE, "data_0", (1, 3, 224, 224), "fc6_1")


def write_repository(folder: Path) -> None:
    """Write all models as Triton reads them."""
    for model in (DIGITS, UNBATCHED, DENSENET):
        version = folder / model.name / "1"
        version.mkdir(parents=True)
        shutil.copy(model.file, version / "model.onnx")
        if model.config:
            (version.parent / "config.pbtxt").write_text(model.config)
