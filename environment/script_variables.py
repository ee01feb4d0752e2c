"""Azure's variables that tell an entry script where it and its models are, in an image and on a machine alike."""

from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath

__all__ = ["model_directory", "script_variables", "service_version"]

Bundles = Sequence[tuple[str, int]]
"""The names and versions of the bundles that a service serves."""


def script_variables(source: PurePath | str, entry_script: str) -> dict[str, str]:
    """Tell where the script is: `entry_script` is a path within its source directory."""
    return {
        "AML_APP_ROOT": str(source),
        "AZUREML_SOURCE_DIRECTORY": str(source),
        "AZUREML_ENTRY_SCRIPT": str(PurePosixPath(entry_script)),
    }


def model_directory(root: PurePath | str, bundles: Bundles) -> str:
    """Give `AZUREML_MODEL_DIR`: the one bundle's folder below `root`, or, of several, `root`, which holds them all."""
    return str(PurePath(root, bundles[0][0], str(bundles[0][1])) if len(bundles) == 1 else root)


def service_version(bundles: Bundles) -> dict[str, str]:
    """Tell which models the service has: the scorer sends it along with its answers."""
    return {"SERVICE_VERSION": ",".join(f"{name}:{version}" for name, version in bundles)}
