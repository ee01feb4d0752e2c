"""Rules over the environment's variables: those that the entry script server reads have values that it can use."""

from collections.abc import Iterator

from serving.settings import VARIABLES
from settings.errors import Mistake
from settings.schema import Settings

__all__ = ["variable_rules"]


def variable_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield the variables with which the entry script server would not start."""
    for name, value in settings.environment.variables.items():
        variable = VARIABLES.get(name)
        if settings.entry_script is None or variable is None or not value:
            continue
        try:
            variable.parse(value)
        except ValueError:
            yield Mistake(
                path=f"environment.variables.{name}", value=repr(value), expected=f"expected {variable.expected}"
            )
