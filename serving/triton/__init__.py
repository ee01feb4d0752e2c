"""Triton as entry scripts reach it: `from serving.triton import Triton` is the client for asynchronous scripts."""

from typing import Any

__all__ = ["Triton"]


def __getattr__(name: str) -> Any:
    """Import the client when a script asks for it: nobody else needs what it imports."""
    if name == "Triton":
        from serving.triton.client import Triton

        return Triton
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
