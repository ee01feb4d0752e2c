"""Whether the requests of a batch may share a run of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend_config import says_rows_are_independent

__all__ = ["why_apart_runs"]


def why_apart_runs(path: Path, config: dict[str, Any]) -> str:
    """Why each request needs a run of its own; empty where several may share one."""
    if says_rows_are_independent(config):
        return ""
    try:
        import onnx
        from row_proof import mixing
    except ImportError as error:
        return f"its graph cannot be read: {error}"
    try:
        return mixing(onnx.load(path, load_external_data=False))
    except Exception as error:  # of the parser's, which has many
        return f"its graph cannot be read: {error}"
