"""Azure's `Model.get_model_path`, for scripts that find their models by it; the rest of `azureml.core` is not here."""

from __future__ import annotations

import os
from pathlib import Path


class Model:
    """The one thing that scripts in service ask of Azure's class of this name."""

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: object = None) -> str:
        """Give the path of a deployed model: of its file or folder, or of the version where that holds several.

        Args:
            model_name: the name that the model is registered under.
            version: by default the highest that is deployed.

        Raises:
            FileNotFoundError: no such model is deployed.
        """
        deployed = _deployed()
        versions = [number for name, number in deployed if name == model_name and version in (None, number)]
        if not versions:
            asked = model_name if version is None else f"{model_name}:{version}"
            known = ", ".join(f"{name}:{number}" for name, number in sorted(deployed)) or "none"
            raise FileNotFoundError(f"model '{asked}' is not deployed with this script; deployed are: {known}")
        folder = deployed[model_name, max(versions)]
        content = list(folder.iterdir())
        return str(content[0] if len(content) == 1 else folder)


def _deployed() -> dict[tuple[str, int], Path]:
    """The folders of model versions. `AZUREML_MODEL_DIR` is the only version's, or holds `<name>/<version>` of each."""
    place = os.environ.get("AZUREML_MODEL_DIR")
    if not place:
        return {}
    folder = Path(place).absolute()
    candidates = [folder] if folder.name.isdecimal() else folder.glob("*/*")
    return {(each.parent.name, int(each.name)): each for each in candidates if each.name.isdecimal() and each.is_dir()}
