"""Environments: what entry scripts and Triton's Python backends run in."""

from environment.curated_clone import Environment, SpecError
from environment.package_lock import ResolutionError
from environment.venv import BuildError, BuiltEnvironment, build

__all__ = [
    "BuildError",
    "BuiltEnvironment",
    "Environment",
    "ResolutionError",
    "SpecError",
    "build",
]
