"""Environments: what entry scripts and Triton's Python backends run in."""

from environment.lock import ResolutionError
from environment.spec import Environment, SpecError
from environment.venv import BuildError, BuiltEnvironment, build, remove_unused

__all__ = [
    "BuildError",
    "BuiltEnvironment",
    "Environment",
    "ResolutionError",
    "SpecError",
    "build",
    "remove_unused",
]
