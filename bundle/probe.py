"""What a readiness probe asks of a registered bundle's models."""

from __future__ import annotations

from typing import Any

from bundle.registry import Registered

__all__ = ["declared_versions", "without_golden"]


def declared_versions(registered: Registered) -> list[dict[str, Any]]:
    """The declared model versions in the form of `serving.probe`; the golden inference is the newest version's."""
    return [
        {"name": model["name"], "version": version, "golden": model["golden"] if version == newest else None}
        for model in registered.models
        for newest in [max(model["versions"])]
        for version in model["versions"]
    ]


def without_golden(registered: Registered) -> list[str]:
    """A line for each model that no golden inference is asked of, with the reason."""
    return [
        f"{registered.model_id}: no golden inference is asked of '{model['name']}': {model['goldenReason']}; put a "
        f"golden.json into triton/{model['name']}"
        for model in registered.models
        if model["golden"] is None
    ]
