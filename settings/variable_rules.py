"""The environment's variables: rules over their names and values, and what a service gets of them."""

import re
from collections.abc import Iterator
from pathlib import Path

from serving.settings import VARIABLES
from settings.errors import Mistake
from settings.schema import Settings, Target

__all__ = ["served_variables", "variable_rules"]

_COLLECT = "COLLECT_URL"


def served_variables(settings: Settings) -> dict[str, str]:
    """The variables as a service of this machine gets them: a relative folder starts at the project, as every path."""
    variables = dict(settings.environment.variables)
    if folder := _folder(variables.get(_COLLECT, "")):
        variables[_COLLECT] = str((settings.project / Path(folder).expanduser()).resolve())
    return variables


def variable_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield the variables that are none, and those with which the entry script server would not start."""
    for name, value in settings.environment.variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Mistake(
                path=f"environment.variables.{name}",
                expected="is no name of an environment variable; expected letters, digits and '_', no digit first",
            )
        variable = VARIABLES.get(name)
        if settings.entry_script is None or variable is None or not value:
            continue
        expected = ""
        try:
            variable.parse(value)
        except ValueError:
            expected = variable.expected
        if name == _COLLECT and settings.deployment.target is not Target.PROCESS and _folder(value):
            expected = "a URL such as s3://bucket/folder: files in a container end with it"
        if expected:
            yield Mistake(path=f"environment.variables.{name}", value=repr(value), expected=f"expected {expected}")


def _folder(url: str) -> str:
    """The folder of this machine that a URL of fsspec's means; "" where it means something else."""
    scheme, separator, rest = url.rpartition("::")[2].partition("://")
    if not separator:
        return url
    return rest if scheme in ("file", "local") else ""
