"""Rules over the environment: a curated environment, and packages that pip understands."""

from collections.abc import Iterator
from pathlib import Path

from common.redaction import credential_in
from environment.curated_clone import Environment, SpecError
from settings.errors import Mistake
from settings.requirements_file import RequirementLine, read_requirements
from settings.rules.rule import rule
from settings.rules.texts import PACKAGE_ADVICE
from settings.schema import Environment as Declared

__all__ = ["environment_rules"]

_FILE = "environment.requirementsFile"


@rule
def environment_rules(declared: Declared) -> Iterator[Mistake]:
    """Yield an environment that does not exist, and each package that no environment can have."""
    path, name = ("environment.clone", declared.clone) if declared.clone else ("environment.name", declared.name)
    try:
        curated = Environment.get(name)
    except SpecError as error:
        yield Mistake(path=path, value=repr(name), expected=str(error))
        curated = None
    if declared.lock_directory is not None and not Path(declared.lock_directory).is_dir():
        yield Mistake(
            path="environment.lockDirectory",
            value=repr(declared.lock_directory.written),
            expected=f"expected a folder at {Path(declared.lock_directory).resolve()}",
        )
    yield from _requirements_can_be(declared, curated)
    for index, package in enumerate(declared.pip_packages if curated else ()):
        if problem := _refusal(curated, package):
            yield Mistake(path=f"environment.pipPackages[{index}]", expected=problem)


@rule
def _requirements_can_be(declared: Declared, curated: Environment | None) -> Iterator[Mistake]:
    given = declared.requirements_file
    if given is None:
        return
    value = repr(given.written)
    file = Path(given).resolve()
    try:
        lines = read_requirements(file)
    except UnicodeDecodeError as error:
        yield Mistake(path=_FILE, value=value, expected=f"expected UTF-8 text; byte {error.start} is none")
        return
    except OSError:
        yield Mistake(path=_FILE, value=value, expected=f"expected a file of pip requirements at {file}")
        return
    for line in lines:
        if problem := _wrong_with(line, curated):
            yield Mistake(path=_FILE, value=value, expected=f"line {line.number}, {line.text!r}, {problem}")


def _wrong_with(line: RequirementLine, curated: Environment | None) -> str:
    if found := credential_in(line.text):
        return f"has {found}, and the state and its history would show it; leave it out, and {PACKAGE_ADVICE}"
    if line.problem:
        return line.problem
    refusal = _refusal(curated, line.text)
    return f"cannot be had: {refusal}" if refusal else ""


def _refusal(curated: Environment | None, package: str) -> str:
    """Say why a curated environment cannot have a package; "" where it can, or where nobody knows it."""
    try:
        if curated is not None:
            curated.add_pip_package(package)
    except SpecError as error:
        return str(error)
    return ""
