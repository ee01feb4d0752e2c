"""An environment as a venv of this machine."""

from pathlib import Path

import pulumi

from environment import venv
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.environment_inputs import EnvironmentInputs, EnvironmentOutputs

__all__ = ["EnvironmentVenv", "EnvironmentVenvType"]


class Inputs(EnvironmentInputs):
    """The environment, and `root`, the folder of built ones; `triton` and `gpu` say what it must be able to run."""

    triton: bool
    gpu: bool
    root: Path


class EnvironmentVenvType(ResourceType[Inputs, EnvironmentOutputs]):
    """An environment, resolved, locked and built, or the one that is there already.

    Environments are kept when the resource is deleted: others may share them, and they are a cache.
    """

    inputs, outputs = Inputs, EnvironmentOutputs

    def id(self, inputs: Inputs) -> str:
        return inputs.name

    def create(self, inputs: Inputs, say: Say) -> EnvironmentOutputs:
        environment = inputs.environment()
        built = venv.build(
            environment,
            root=inputs.root,
            triton=inputs.triton,
            gpu=inputs.gpu,
            locks=inputs.locks_in_place,
            progress=say,
        )
        return EnvironmentOutputs(
            path=str(built.path), digest=built.digest, packages=built.lock.packages, lock_files=[str(built.lock.file)]
        )

    def drifted(self, inputs: Inputs, known: EnvironmentOutputs) -> frozenset[str]:
        return frozenset() if venv.is_usable(Path(known.path)) else frozenset({"path"})


class EnvironmentVenv(Declaration):
    """A built environment."""

    Inputs, Outputs = Inputs, EnvironmentOutputs
    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]
    lock_files: pulumi.Output[list[str]]
