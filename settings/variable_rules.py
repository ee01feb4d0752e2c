"""Rules over the environment's variables: their names, and that the entry script server can use what it reads."""

import re
from collections.abc import Iterator

from serving.settings import VARIABLES
from settings.errors import Mistake
from settings.schema import Settings

__all__ = ["variable_rules"]


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
        try:
            variable.parse(value)
        except ValueError:
            yield Mistake(
                path=f"environment.variables.{name}", value=repr(value), expected=f"expected {variable.expected}"
            )
