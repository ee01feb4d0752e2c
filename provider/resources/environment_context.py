"""What an environment's image is built from, as a folder of this machine."""

import shutil
from pathlib import Path
from typing import Any

import pulumi

from common.part import Part
from environment.build_context import environment_context
from environment.curated_clone import Environment, declared_environment
from environment.package_lock import resolve
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say

__all__ = ["EnvironmentContext", "EnvironmentContextType"]

PROJECT = Path(__file__).resolve().parents[2]


class Inputs(Part):
    """A curated environment (`name` alone) or a `clone` of one, on `base_image`.

    `folder` gets what the image is built from, `locks` the locks. `curated` and `sources` say what is in the image
    besides packages.
    """

    name: str
    clone: str
    pip_packages: list[str]
    base_image: str
    folder: Path
    locks: Path
    curated: dict[str, Any]
    sources: dict[str, str]


class Outputs(Part):
    """The folder, the digest of what decides the image's content, and the locked packages."""

    path: str
    digest: str
    packages: dict[str, str]


class EnvironmentContextType(ResourceType[Inputs, Outputs]):
    """An environment's Dockerfile and its files, with the environment resolved and locked."""

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return inputs.name

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        environment = declared_environment(inputs.name, inputs.clone, inputs.pip_packages)
        curated = Environment.get(environment.curated.name)
        curated_lock, packages = (
            resolve(
                wanted.requirements,
                name=wanted.name,
                python=None,
                pins=wanted.curated.packages,
                project=PROJECT / "serving",
                store=inputs.locks,
                progress=say,
            )
            for wanted in (curated, environment)
        )
        context = environment_context(
            environment,
            base_image=inputs.base_image,
            curated=curated_lock,
            packages=packages,
            serving=PROJECT / "serving",
        )
        context.write(inputs.folder)
        return Outputs(path=str(inputs.folder), digest=context.digest, packages=packages.packages)

    def delete(self, inputs: Inputs, known: Outputs, say: Say) -> None:
        shutil.rmtree(known.path, ignore_errors=True)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        return frozenset() if Path(known.path, "Dockerfile").is_file() else frozenset({"path"})


class EnvironmentContext(Declaration):
    """A folder that an environment's image is built from."""

    Inputs, Outputs = Inputs, Outputs
    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]
