"""The models in a version's manifest: their interface, and the golden inference that the probe asks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict  # typing's own, with Python 3.12 or newer alone, goes into a schema

from bundle.bundle_types import Bundle, Model
from bundle.frameworks import ONNXRUNTIME

__all__ = ["RULES", "ModelSummary", "are_current", "tells", "told"]

RULES = 2
"""The version of the rules in `golden_derivation`: the registry derives a golden inference of another version again."""


class ModelSummary(TypedDict):
    """A model of a registered bundle, for people and other stacks. The platform is the backend where it has none."""

    name: str
    versions: list[int]
    platform: str


def told(model: Model, bundle: Bundle) -> dict[str, Any]:
    """Describe a model for its version's manifest, with its own golden inference or a derived one."""
    from bundle.golden_derivation import NotDerivable, derive  # takes long to import, and few commands register a model

    document: dict[str, Any] = {**model.to_json(), "goldenReason": None, "goldenRules": RULES}
    if model.golden is None:
        if model.backend != ONNXRUNTIME or model.model_file is None:
            document["goldenReason"] = "it has no golden.json, and one is derived for ONNX models only"
        else:
            source = next(file.source for file in bundle.files if file.path == model.model_file)
            try:
                document["golden"] = derive(source, model).to_json()
            except NotDerivable as error:
                document["goldenReason"] = f"it has no golden.json, and none can be derived: {error}"
    return document


def are_current(models: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether this release's rules described the models of a registered version."""
    return all(model.get("goldenRules") == RULES for model in models)


def tells(registered: Sequence[Mapping[str, Any]], models: Sequence[Model]) -> bool:
    """Tell whether a registered version describes its models as this release does."""

    def interface(document: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in document.items() if not key.startswith("golden")}

    found = [interface(document) for document in registered]
    return are_current(registered) and found == [interface(model.to_json()) for model in models]
