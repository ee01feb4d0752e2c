"""Prove that requests may share a run of an ONNX graph: preview and the backend that runs it use the same proof."""

from .walk import mixing

__all__ = ["mixing"]
