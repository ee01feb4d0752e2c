"""ONNX Runtime on the CPU, in the version that target `process` serves with: see `environment/curated.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime

# The runtime's words, and what helps against what they tell. Other causes have no advice that would fit all of them.
_ADVICE = (
    (
        re.compile(r"No Op registered for|is not a registered function/op|NOT_IMPLEMENTED|Could not find an implement"),
        "; export it with operators that ONNX Runtime has on the CPU",
    ),
    (
        re.compile(r"model IR version|opset \d+ is under development|guarantees\S* support for models"),
        "; export it for an older opset",
    ),
    (re.compile(r"construct locale"), "; install that locale on the machine that serves (Debian, Ubuntu: locales)"),
)


class LoadError(ValueError):
    """A model that ONNX Runtime does not load; the message is its reason in full, in one line."""

    @property
    def advice(self) -> str:
        """What helps, to follow the reason; empty where the reason is not a known one."""
        return next((advice for words, advice in _ADVICE if words.search(str(self))), "")


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
        raise LoadError(" ".join(str(error).split()) or type(error).__name__) from None
