"""A Python model that adds the number of words in its file, and whose process dies when a request says so."""

from pathlib import Path

_WORDS = "naïve größe"
CONFIG = """\
backend: "python"
max_batch_size: 0
input [ { name: "s" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""
CACHED = "response_cache { enable: true }"
_CODE = """
import os
import pathlib
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        with open(pathlib.Path(__file__).with_name("words.txt")) as file:
            self.words = file.read().split()
        print("words:", *self.words, flush=True)

    def execute(self, requests):
        responses = []
        for request in requests:
            value = float(pb.get_input_tensor_by_name(request, "s").as_numpy()[0])
            if value == -1:
                os._exit(3)
            if value == -2:
                held = []
                while True:
                    held.append(bytearray(b"x" * 20_000_000))
            answer = np.array([value + len(self.words)], np.float32)
            responses.append(pb.InferenceResponse([pb.Tensor("y", answer)]))
        return responses
"""


def save(folder: Path, more: str = "") -> None:
    """Write the model into its folder; `more` is added to its configuration."""
    version = folder / "1"
    version.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(CONFIG + more)
    (version / "model.py").write_text(_CODE)
    (version / "words.txt").write_text(_WORDS, encoding="utf-8")
