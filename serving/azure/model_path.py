"""Azure's `Model.get_model_path`, by which scripts find their models. The rest of `azureml.core` is not here."""

from __future__ import annotations

import os
from pathlib import Path


class Model:
    """Stands for Azure's class of this name, with the one method that a script in service needs."""

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: object = None) -> str:
        """Find a deployed model.

        Example:
            A script's init() loads the model that is registered as `digits`::

                from azureml.core.model import Model

                def init():
                    global model
                    model = joblib.load(Model.get_model_path("digits"))

        Args:
            model_name: the name that the model is registered under.
            version: its version; by default the highest that is deployed.

        Returns:
            The path of the model's file or folder, or of the version's folder where that holds several.

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
    """Find the folders of model versions: `AZUREML_MODEL_DIR` itself, or `<name>/<version>` in it."""
    place = os.environ.get("AZUREML_MODEL_DIR")
    if not place:
        return {}
    folder = Path(place).absolute()
    candidates = [folder] if folder.name.isdecimal() else folder.glob("*/*")
    return {(each.parent.name, int(each.name)): each for each in candidates if each.name.isdecimal() and each.is_dir()}
