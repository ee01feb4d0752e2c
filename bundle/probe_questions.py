"""The questions that a readiness probe asks the models of a registered bundle."""

from __future__ import annotations

from typing import Any

from bundle.registry import Registered

__all__ = ["declared_versions", "without_golden"]


def declared_versions(registered: Registered) -> list[dict[str, Any]]:
    """List the declared model versions in the form of `serving.probing.probe`.

    Only the newest version gets the interface and the golden inference: it answers a request without a version.
    """
    versions = []
    for model in registered.models:
        for version in model["versions"]:
            newest = version == max(model["versions"])
            asked = {key: model[key] if newest else None for key in ("inputs", "outputs", "golden")}
            versions.append({"name": model["name"], "version": version, **asked})
    return versions


def without_golden(registered: Registered) -> list[str]:
    """Write a line, with the reason, for each model that the probe asks no golden inference."""
    return [
        f"{registered.model_id}: no golden inference is asked of '{model['name']}': {model['goldenReason']}; put a "
        f"golden.json into triton/{model['name']}"
        for model in registered.models
        if model["golden"] is None
    ]
