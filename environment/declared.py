"""The environment that settings declare."""

from collections.abc import Sequence

from environment.curated_clone import Environment

__all__ = ["declared_environment"]


def declared_environment(name: str, clone: str | None, pip_packages: Sequence[str]) -> Environment:
    """Make a curated environment, or a clone of it with pip packages.

    Raises:
        SpecError: The curated environment is unknown, or a pip package is none or contradicts its pins.
    """
    environment = Environment.get(clone).clone(name) if clone else Environment.get(name)
    for package in pip_packages:
        environment = environment.add_pip_package(package)
    return environment
