"""Load models with ONNX Runtime on the CPU, in the version of target `process`: see `environment/curated.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime

# The runtime's words and the advice against their cause. Other words have several causes, so no advice fits them.
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
    """ONNX Runtime does not load a model; the message is its whole reason in one line."""

    @property
    def advice(self) -> str:
        """Return the advice that follows the reason; "" for an unknown reason."""
        return next((advice for words, advice in _ADVICE if words.search(str(self))), "")


def load_session(path: Path, *, optimized: bool = True) -> onnxruntime.InferenceSession:
    """Load the ONNX model in a file.

    Args:
        path: The file.
        optimized: Whether to optimize the graph, which takes a while. Checks need no optimized graph.

    Raises:
        LoadError: ONNX Runtime refuses the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise LoadError(" ".join(str(error).split()) or type(error).__name__) from None
