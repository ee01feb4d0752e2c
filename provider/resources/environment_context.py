"""What an environment's image is built from, as a folder of this machine."""

import shutil
from pathlib import Path

import pulumi

from environment.build_context import environment_context
from environment.curated_clone import Environment
from environment.package_lock import resolve
from provider.declaration import Declaration
from provider.program_folder import SOURCES
from provider.resource_type import ResourceType, Say
from provider.resources.environment_inputs import EnvironmentInputs, EnvironmentOutputs

__all__ = ["EnvironmentContext", "EnvironmentContextType"]


class Inputs(EnvironmentInputs):
    """The environment, on `base_image`; `folder` gets what the image is built from, `locks` the locks."""

    base_image: str
    folder: Path
    locks: Path


class EnvironmentContextType(ResourceType[Inputs, EnvironmentOutputs]):
    """An environment's Dockerfile and its files, with the environment resolved and locked."""

    inputs, outputs = Inputs, EnvironmentOutputs

    def id(self, inputs: Inputs) -> str:
        return inputs.name

    def create(self, inputs: Inputs, say: Say) -> EnvironmentOutputs:
        environment = inputs.environment()
        curated = Environment.get(environment.curated.name)
        curated_lock, packages = (
            resolve(
                wanted.requirements,
                name=wanted.name,
                python=None,
                pins=wanted.curated.packages,
                project=SOURCES / "serving",
                store=inputs.locks,
                given=inputs.locks_in_place,
                progress=say,
            )
            for wanted in (curated, environment)
        )
        context = environment_context(
            environment,
            base_image=inputs.base_image,
            curated=curated_lock,
            packages=packages,
            serving=SOURCES / "serving",
        )
        context.write(inputs.folder)
        return EnvironmentOutputs(
            path=str(inputs.folder),
            digest=context.digest,
            packages=packages.packages,
            lock_files=[str(lock.file) for lock in (curated_lock, packages)],
        )

    def delete(self, inputs: Inputs, known: EnvironmentOutputs, say: Say) -> None:
        shutil.rmtree(known.path, ignore_errors=True)

    def drifted(self, inputs: Inputs, known: EnvironmentOutputs) -> frozenset[str]:
        return frozenset() if Path(known.path, "Dockerfile").is_file() else frozenset({"path"})


class EnvironmentContext(Declaration):
    """A folder that an environment's image is built from."""

    Inputs, Outputs = Inputs, EnvironmentOutputs
    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]
    lock_files: pulumi.Output[list[str]]
