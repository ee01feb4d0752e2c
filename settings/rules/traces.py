"""Rules over traces: OpenTelemetry's variables, where they ask for some."""

from collections.abc import Iterator

from gateway.otel_variables import mistakes
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings, Target

__all__ = ["trace_rules"]


@rule
def trace_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield each variable with which no trace could be had."""
    variables = settings.environment.variables
    in_container = settings.deployment.target is not Target.PROCESS
    for name, expected in mistakes(variables, in_container=in_container):
        value = None if "HEADERS" in name else repr(variables[name])
        yield Mistake(path=f"environment.variables.{name}", value=value, expected=expected)
