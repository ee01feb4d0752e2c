"""Whether requests may share a run of an ONNX graph: the same proof at preview and in the backend that runs it."""

from .walk import mixing

__all__ = ["mixing"]
