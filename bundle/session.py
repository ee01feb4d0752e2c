"""ONNX Runtime on the CPU: what target `process` loads models with."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


class LoadError(ValueError):
    """A model that ONNX Runtime does not load; the message is the first line of its reason."""


def load_session(path: Path, *, optimized: bool = True) -> onnxruntime.InferenceSession:
    """Loads the ONNX model in a file; without optimizations, which take a while, it is good for a look.

    Raises:
        LoadError: ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise LoadError(next(iter(str(error).splitlines()), type(error).__name__)[:300]) from None
