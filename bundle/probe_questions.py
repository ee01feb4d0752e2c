"""What a readiness probe asks of a registered bundle's models."""

from __future__ import annotations

from typing import Any

from bundle.registry import Registered

__all__ = ["declared_versions", "without_golden"]


def declared_versions(registered: Registered) -> list[dict[str, Any]]:
    """The declared model versions in the form of `serving.probing.probe`.

    Interface and golden inference are the newest version's: the one that answers a request without a version.
    """
    versions = []
    for model in registered.models:
        for version in model["versions"]:
            newest = version == max(model["versions"])
            asked = {key: model[key] if newest else None for key in ("inputs", "outputs", "golden")}
            versions.append({"name": model["name"], "version": version, **asked})
    return versions


def without_golden(registered: Registered) -> list[str]:
    """A line for each model that no golden inference is asked of, with the reason."""
    return [
        f"{registered.model_id}: no golden inference is asked of '{model['name']}': {model['goldenReason']}; put a "
        f"golden.json into triton/{model['name']}"
        for model in registered.models
        if model["golden"] is None
    ]
