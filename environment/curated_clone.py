"""Environments as users of Azure ML know them: curated ones by name, their clones, pip packages and variables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from common.errors import UserError
from environment.curated_environments import Curated, read_curated

__all__ = ["Environment", "SpecError", "declared_environment"]


class SpecError(UserError):
    """An environment's name is unknown or invalid, or a pip package is malformed or contradicts a curated pin."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A curated environment, or a clone of one with pip packages and variables of its own.

    It touches neither disk nor network: `environment.venv` makes a virtual environment of it, and
    `environment.dockerfile` an image.

    Example:
        environment = Environment.get("AzureML-Triton").clone("My-Triton").add_pip_package("nltk==3.9.1")
        built = build(environment, root=Path(".var/environments"))
    """

    name: str
    curated: Curated
    pip_packages: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def get(cls, name: str) -> "Environment":
        """Get the curated environment of this name.

        Raises:
            SpecError: There is none; the text names the nearest one.
        """
        known = read_curated()
        if name not in known:
            folded = {candidate.lower(): candidate for candidate in known}
            near = [folded[match] for match in get_close_matches(name.lower(), folded, n=1)]
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(map(repr, sorted(known)))}"
            raise SpecError(f"environment {name!r} is not a curated environment; {hint}")
        curated = known[name]
        return cls(name=name, curated=curated, variables=dict(curated.variables))

    def clone(self, name: str) -> "Environment":
        """Copy this environment under another name.

        Raises:
            SpecError: The name has other characters than letters, digits, `_`, `.` and `-`, or too many.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
            raise SpecError(
                f"environment name {name!r} names a folder and an image: expected up to 63 letters, digits, "
                "'_', '.' or '-', starting with a letter or digit, as in 'My-Triton'"
            )
        return replace(self, name=name)

    def add_pip_package(self, package: str) -> "Environment":
        """Return this environment with one more pip package, a PEP 508 requirement such as `nltk==3.9.1`.

        Raises:
            SpecError: The text is no requirement, or contradicts a pin of the curated environment.
        """
        requirement = _parse(package)
        pins = [pin for pin in map(Requirement, self.curated.packages) if _same_package(pin, requirement)]
        if pins and not any(_satisfies(pin, requirement) for pin in pins):
            pinned = " and ".join(f"'{pin}'" for pin in pins)
            raise SpecError(
                f"pip package {package!r} contradicts the curated environment {self.curated.name!r}, "
                f"which pins {pinned}; leave {requirement.name} out, or ask for a range that holds the pinned version"
            )
        return replace(self, pip_packages=(*self.pip_packages, str(requirement)))

    def with_variables(self, variables: Mapping[str, str]) -> "Environment":
        """Return this environment with more environment variables; they override the present ones."""
        return replace(self, variables={**self.variables, **variables})

    @property
    def requirements(self) -> tuple[str, ...]:
        """Return the packages that entry scripts find installed: the curated pins, then the added pip packages."""
        return (*self.curated.packages, *self.pip_packages)


def declared_environment(name: str, clone: str | None, pip_packages: Sequence[str]) -> Environment:
    """The environment that settings declare: a curated one, or a clone of it with pip packages.

    Raises `SpecError` for an unknown curated environment and for a pip package that is none or contradicts its pins.
    """
    environment = Environment.get(clone).clone(name) if clone else Environment.get(name)
    for package in pip_packages:
        environment = environment.add_pip_package(package)
    return environment


def _parse(package: str) -> Requirement:
    try:
        return Requirement(package)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise SpecError(
            f"pip package {package!r} is not a requirement as PEP 508 writes it, like 'nltk' or 'nltk==3.9.1': {reason}"
        ) from None


def _same_package(a: Requirement, b: Requirement) -> bool:
    return canonicalize_name(a.name) == canonicalize_name(b.name)


def _satisfies(pin: Requirement, wanted: Requirement) -> bool:
    version = next(iter(pin.specifier)).version
    return wanted.url is None and wanted.specifier.contains(version, prereleases=True)
