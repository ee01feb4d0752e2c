"""The models of a generation: a copy of its registered bundles, laid out as Azure does.

    <generation>/azureml-models/<name>/<version>/...

Triton and the script run on the copy. Python models and scripts are code, and code writes where it runs: byte code
beside a module, a converted model beside the one it came from. None of that may reach a registered version, and
permissions do not stop root, nor do links. What is copied is hashed, so no generation starts on files that differ from
what was registered. The copy goes with its generation.
"""

from pathlib import Path

from bundle.registry import Registry, RegistryError
from environment import script_variables
from targets.errors import ServiceError
from targets.process.specification import ServiceSpec
from targets.served import ServedBundle

__all__ = ["lay_out", "model_directory"]

_FOLDER = "azureml-models"


def lay_out(spec: ServiceSpec, generation: Path) -> ServiceSpec:
    """Copy the bundles to a generation's folder; gives the specification with the copies as its bundles' paths.

    Files that are there as registered are kept: a generation that comes back gets again what was changed of them.
    Raises `ServiceError` that names a damaged file and how to get it back.
    """
    bundles = tuple(
        bundle.model_copy(update={"path": generation / _FOLDER / bundle.name / str(bundle.version)})
        for bundle in spec.bundles
    )
    for original, copy in zip(spec.bundles, bundles, strict=True):
        _copy(original, copy.path)
    return spec.model_copy(update={"bundles": bundles})


def model_directory(spec: ServiceSpec, generation: Path) -> Path:
    """`AZUREML_MODEL_DIR` of a generation: where the copies are."""
    bundles = [(bundle.name, bundle.version) for bundle in spec.bundles]
    return Path(script_variables.model_directory(generation / _FOLDER, bundles))


def _copy(bundle: ServedBundle, target: Path) -> None:
    try:
        registry = Registry(bundle.registry)
        registered = registry.get(bundle.name, bundle.version)
        if registered.digest != bundle.digest:
            raise RegistryError(
                f"{registered.model_id} in {registry.url} has the digest {registered.digest}, expected "
                f"{bundle.digest}: it was registered anew meanwhile; make up again"
            )
        if target.is_symlink():  # as earlier versions of this project laid models out
            target.unlink()
        target.mkdir(parents=True, exist_ok=True)
        registry.lay_out(registered, bundle.path, target)
    except RegistryError as error:
        raise ServiceError(str(error)) from None
