"""An environment as a venv of this machine."""

from pathlib import Path
from typing import Any

import pulumi

from common.part import Part
from environment import venv
from environment.curated_clone import declared_environment
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say

__all__ = ["EnvironmentVenv", "EnvironmentVenvType"]


class Inputs(Part):
    """A curated environment (`name` alone), or a `clone` of one with pip packages.

    `root` is the folder of built environments; `curated` and `sources` say what the environment is made of besides
    packages: a change there is a change of the environment.
    """

    name: str
    clone: str
    pip_packages: list[str]
    triton: bool
    gpu: bool
    root: Path
    curated: dict[str, Any]
    sources: dict[str, str]


class Outputs(Part):
    """The environment's folder, its digest and its locked packages."""

    path: str
    digest: str
    packages: dict[str, str]


class EnvironmentVenvType(ResourceType[Inputs, Outputs]):
    """An environment, resolved, locked and built, or the one that is there already.

    Environments are kept when the resource is deleted: others may share them, and they are a cache.
    """

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return inputs.name

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        environment = declared_environment(inputs.name, inputs.clone, inputs.pip_packages)
        built = venv.build(environment, root=inputs.root, triton=inputs.triton, gpu=inputs.gpu, progress=say)
        return Outputs(path=str(built.path), digest=built.digest, packages=built.lock.packages)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        return frozenset() if venv.is_usable(Path(known.path)) else frozenset({"path"})


class EnvironmentVenv(Declaration):
    """A built environment."""

    Inputs, Outputs = Inputs, Outputs
    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]
