"""An entry script's Triton. `from serving.triton import Triton` gives the client for asynchronous scripts."""

from typing import Any

__all__ = ["Triton"]


def __getattr__(name: str) -> Any:
    """Import the client when a script asks for it; the server does not need numpy."""
    if name == "Triton":
        from serving.triton.client import Triton

        return Triton
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
