"""The frameworks whose models Triton serves: their names in a configuration, their files and their targets.

Names and default files are those of Triton's core (`src/constants.h`, `AutoCompleteBackendFields` in
`src/model_config_utils.cc`). Target `process` runs the server of the wheel `nvidia-pytriton`, which has the Python
backend, and this project's ONNX backend on it; the other targets run NVIDIA's image or one made from it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

TARGETS = ("process", "docker", "node-pool")
IMAGE_TARGETS = ("docker", "node-pool")
ENSEMBLE = "ensemble"
ONNXRUNTIME = "onnxruntime"
PYTHON = "python"
TENSORRT = "tensorrt"


@dataclass(frozen=True)
class Framework:
    """A framework of models.

    Attributes:
        label: Its name for people.
        backend: The backend's name in a configuration.
        platform: The platform's name; empty where Triton has none.
        file: The default name of the model file; empty where the backend chooses it.
        targets: The targets that serve it.
        forms: Whether the model file is a file, a folder or either.
        caveat: A condition that people should know.
    """

    label: str
    backend: str
    platform: str
    file: str
    targets: tuple[str, ...] = IMAGE_TARGETS
    forms: tuple[str, ...] = ("file",)
    caveat: str = ""
    completes: bool = False
    """Whether its backend completes inputs and outputs that a configuration describes only in part."""


_TENSORFLOW = "NVIDIA's images have TensorFlow up to release 25.02 only; a later base image refuses the model"

FRAMEWORKS = (
    # In the order in which Triton looks for them where the configuration names none.
    Framework(
        "TensorFlow", "tensorflow", "tensorflow_savedmodel", "model.savedmodel", forms=("folder",), caveat=_TENSORFLOW
    ),
    Framework("TensorFlow", "tensorflow", "tensorflow_graphdef", "model.graphdef", caveat=_TENSORFLOW),
    Framework("TensorRT", TENSORRT, "tensorrt_plan", "model.plan", completes=True),
    Framework("ONNX", ONNXRUNTIME, "onnxruntime_onnx", "model.onnx", targets=TARGETS, forms=("file", "folder")),
    Framework("OpenVINO", "openvino", "", "model.xml", completes=True),
    Framework("PyTorch", "pytorch", "pytorch_libtorch", "model.pt"),
    Framework("PyTorch", "pytorch", "torch_aoti", "model.pt2"),
    Framework("Python", PYTHON, "", "model.py", targets=TARGETS),
)
"""The frameworks that Triton recognises by the model file alone."""

NAMED_FRAMEWORKS = (
    Framework("ensemble", "", ENSEMBLE, "", targets=TARGETS),
    Framework("PyTorch", "pytorch", "libtorch", "model.pt"),
    Framework("DALI", "dali", "", ""),
    Framework("FIL", "fil", "", ""),
    Framework("vLLM", "vllm", "", "model.json", caveat="vLLM is in NVIDIA's images tagged 'vllm-python' only"),
    Framework("TensorRT-LLM", "tensorrtllm", "", "", caveat="TensorRT-LLM is in NVIDIA's images tagged 'trtllm' only"),
    Framework("identity", "identity", "", ""),
    Framework("repeat", "repeat", "", ""),
    Framework("square", "square", "", ""),
)
"""More frameworks of NVIDIA's images, which a configuration must name."""

ALL_FRAMEWORKS = FRAMEWORKS + NAMED_FRAMEWORKS
BACKENDS = tuple(dict.fromkeys(framework.backend for framework in ALL_FRAMEWORKS if framework.backend))
PLATFORMS = tuple(dict.fromkeys(framework.platform for framework in ALL_FRAMEWORKS if framework.platform))
MODEL_FILES = tuple(framework.file for framework in FRAMEWORKS)


def named(*, backend: str, platform: str, file: str) -> Framework | None:
    """Find the framework that a configuration names; None where it names no known one.

    As in Triton, the backend counts first, then the platform, then the default model file.
    """
    known = [framework for framework in ALL_FRAMEWORKS if not platform or framework.platform == platform]
    if backend:
        matches = [framework for framework in known if framework.backend == backend]
        return next((framework for framework in matches if framework.file == file), matches[0] if matches else None)
    if platform:
        return known[0] if known else None
    return next((framework for framework in FRAMEWORKS if framework.file == file), None) if file else None


def recognised(names: Collection[str]) -> Framework | None:
    """Find the framework as Triton does without a configuration: by the names in the first version's folder."""
    return next((framework for framework in FRAMEWORKS if framework.file in names), None)


def named_by_model(name: str) -> Framework | None:
    """Find the framework as Triton does at last: by a model's name of the form `<model>.<backend>`."""
    return named(backend=name.partition(".")[2], platform="", file="") if "." in name else None
