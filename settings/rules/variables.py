"""Rules over the names and values of the environment's variables."""

import re
from collections.abc import Iterator

from serving.settings import VARIABLES
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings, Target
from settings.variable_names import COLLECT, folder_of

__all__ = ["variable_rules"]

_OF_COLLECTION = "COLLECT_"


@rule
def variable_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield names that no variable can have, and variables with which the scorer or the recorder would not start."""
    for name, value in settings.environment.variables.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Mistake(
                path=f"environment.variables.{name}",
                expected="is no name of an environment variable; expected letters, digits and '_', no digit first",
            )
        variable = VARIABLES.get(name)
        of_recorder = settings.deployment.record_requests is not None and name.startswith(_OF_COLLECTION)
        if variable is None or not value or not (settings.entry_script or of_recorder):
            continue
        expected = ""
        try:
            variable.parse(value)
        except ValueError:
            expected = variable.expected
        if name == COLLECT and settings.deployment.target is not Target.PROCESS and folder_of(value):
            expected = "a URL such as s3://bucket/folder: files in a container end with it"
        if expected:
            yield Mistake(path=f"environment.variables.{name}", value=repr(value), expected=f"expected {expected}")
