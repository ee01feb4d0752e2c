"""Rules over the environment: a curated environment, and packages that pip understands."""

from collections.abc import Iterator

from environment import Environment, SpecError
from settings.errors import Mistake
from settings.schema import Settings

__all__ = ["environment_rules"]


def environment_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield an environment that there is not, and each package that no environment can have."""
    declared = settings.environment
    path, name = ("environment.clone", declared.clone) if declared.clone else ("environment.name", declared.name)
    try:
        curated = Environment.get(name)
    except SpecError as error:
        yield Mistake(path=path, value=repr(name), expected=str(error))
        return
    for index, package in enumerate(declared.pip_packages):
        try:
            curated.add_pip_package(package)
        except SpecError as error:
            yield Mistake(path=f"environment.pipPackages[{index}]", expected=str(error))
