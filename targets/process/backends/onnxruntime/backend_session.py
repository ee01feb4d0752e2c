"""ONNX Runtime sessions as a model configuration asks for them: file, options, execution provider."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnxruntime
from backend_config import BackendError
from onnxruntime.capi import onnxruntime_pybind11_state as states

# How ONNX Runtime says that a request does not fit the graph.
REFUSALS = (states.InvalidArgument,)
THREADS = "OMP_NUM_THREADS"
DEFAULT_MODEL_FILENAME = "model.onnx"
GRAPH_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
EXECUTION_MODES = {
    "0": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    "1": onnxruntime.ExecutionMode.ORT_PARALLEL,
}
BOOLEANS = {"1": True, "true": True, "0": False, "false": False}
# The CUDA provider's options that NVIDIA's backend also reads from `parameters`, with the words its numbers stand for.
CUDA_PARAMETERS: dict[str, dict[str, str]] = {
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
    "gpu_mem_limit": {},
    "do_copy_in_default_stream": {},
}
DEVICE_INITIALIZERS = "session.use_device_allocator_for_initializers"
ARENA_SHRINKAGE = "memory.enable_memory_arena_shrinkage"


def find_model(version_folder: Path, config: dict[str, Any]) -> Path:
    """The ONNX file of a version: `default_model_filename`, or `model.onnx`; of a folder, the `model.onnx` in it."""
    path = version_folder / (config.get("default_model_filename") or DEFAULT_MODEL_FILENAME)
    if path.is_dir():
        path = path / DEFAULT_MODEL_FILENAME
    if not path.is_file():
        raise BackendError(f"unable to find '{path}', the ONNX file of model '{config['name']}'")
    return path


def session_options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    """ONNX Runtime's options as `optimization`, `parameters` and `model_operations` of the configuration set them."""
    options = onnxruntime.SessionOptions()
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = GRAPH_LEVELS.get(level, GRAPH_LEVELS[0])
    values = _parameters(config)
    options.execution_mode = _choose("execution_mode", values.get("execution_mode", "0"), EXECUTION_MODES)
    # Where the model asks for no number, the service's share of the cores: ONNX Runtime would take all of them, and its
    # threads spin for a while after each run.
    options.intra_op_num_threads = _count("intra_op_thread_count", values) or int(os.environ.get(THREADS, "0"))
    options.inter_op_num_threads = _count("inter_op_thread_count", values)
    options.enable_cpu_mem_arena = _choose("enable_mem_arena", values.get("enable_mem_arena", "1").lower(), BOOLEANS)
    options.enable_mem_pattern = _choose("enable_mem_pattern", values.get("enable_mem_pattern", "1").lower(), BOOLEANS)
    if DEVICE_INITIALIZERS in values:
        options.add_session_config_entry(DEVICE_INITIALIZERS, values[DEVICE_INITIALIZERS])
    for library in config.get("model_operations", {}).get("op_library_filename", ()):
        options.register_custom_ops_library(library)
    return options


def run_options(config: dict[str, Any]) -> onnxruntime.RunOptions:
    """ONNX Runtime's options for each run."""
    options = onnxruntime.RunOptions()
    values = _parameters(config)
    if ARENA_SHRINKAGE in values:
        options.add_run_config_entry(ARENA_SHRINKAGE, values[ARENA_SHRINKAGE])
    return options


def execution_providers(config: dict[str, Any], kind: str, device: int) -> list[Any]:
    """ONNX Runtime's providers for an instance: for kind "GPU" CUDA on `device`, then the CPU; else the CPU alone."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    for accelerator in accelerators.get("cpu_execution_accelerator", ()):
        raise BackendError(f"CPU execution accelerator '{accelerator['name']}' is not part of this backend; remove it")
    if kind != "GPU":
        return ["CPUExecutionProvider"]
    values = _parameters(config)
    cuda = {
        name: _choose(name, values[name], words) if words else values[name]
        for name, words in CUDA_PARAMETERS.items()
        if name in values
    }
    for accelerator in accelerators.get("gpu_execution_accelerator", ()):
        if accelerator["name"] != "cuda":
            name = accelerator["name"]
            raise BackendError(f"GPU execution accelerator '{name}' is not part of this backend, which has 'cuda'")
        cuda.update(accelerator.get("parameters", {}))
    return [("CUDAExecutionProvider", {**cuda, "device_id": str(device)}), "CPUExecutionProvider"]


def load_session(path: Path, options: onnxruntime.SessionOptions, providers: list[Any]) -> onnxruntime.InferenceSession:
    """A session on the ONNX file `path`; raises BackendError where CUDA was asked for and is not active."""
    on_gpu = len(providers) > 1
    if on_gpu and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise BackendError(
            f"the instance group asks for a GPU, but this onnxruntime has only "
            f"{', '.join(onnxruntime.get_available_providers())}; install onnxruntime-gpu in place of onnxruntime, "
            f"or set the instance group's kind to KIND_CPU"
        )
    if on_gpu and hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on: finds CUDA and cuDNN where pip installed them
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no public base class
        raise BackendError(f"ONNX Runtime cannot load '{path}': {error}") from None
    if on_gpu and "CUDAExecutionProvider" not in session.get_providers():
        raise BackendError(
            f"the instance group asks for a GPU, but ONNX Runtime loaded '{path}' on "
            f"{', '.join(session.get_providers())}: no GPU is visible, or CUDA or cuDNN is missing or of another "
            f"version; ONNX Runtime's own words are in Triton's log"
        )
    return session


def _parameters(config: dict[str, Any]) -> dict[str, str]:
    return {key: value["string_value"] for key, value in config.get("parameters", {}).items()}


def _choose(name: str, value: str, words: dict[str, Any]) -> Any:
    if value not in words:
        raise BackendError(f"parameter '{name}' has value '{value}'; expected one of {', '.join(words)}")
    return words[value]


def _count(name: str, values: dict[str, str]) -> int:
    try:
        return max(0, int(values.get(name, "0")))
    except ValueError:
        raise BackendError(f"parameter '{name}' has value '{values[name]}'; expected a whole number") from None
