"""The environment that a resource makes, be it a venv or the folder that an image is built from."""

from pathlib import Path
from typing import Any

from common.part import Part
from environment.curated_clone import Environment, declared_environment

__all__ = ["EnvironmentInputs", "EnvironmentOutputs"]


class EnvironmentInputs(Part):
    """A curated environment (`name` alone), or a `clone` of one with pip packages.

    `curated` and `sources` say what the environment is made of besides packages: a change there is a change of the
    environment. `given_locks` is a folder of locks that hold in place of new ones, "" where there is none.
    """

    name: str
    clone: str
    pip_packages: list[str]
    curated: dict[str, Any]  # only compared, so that a state with the form of another release can be read
    sources: dict[str, str]
    given_locks: str = ""

    @property
    def locks_in_place(self) -> Path | None:
        """The folder of `given_locks`."""
        return Path(self.given_locks) if self.given_locks else None

    def environment(self) -> Environment:
        """Declare the environment.

        Raises:
            SpecError: The curated environment is unknown, or a pip package contradicts its pins.
        """
        return declared_environment(self.name, self.clone, self.pip_packages)


class EnvironmentOutputs(Part):
    """The folder that was made, the digest of what decides its content, the locked packages, and the files of locks."""

    path: str
    digest: str
    packages: dict[str, str]
    lock_files: list[str] = []
