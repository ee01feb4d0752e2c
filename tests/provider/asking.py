"""Ask a type of resource as the provider's server does, by plain properties under their names on the wire.

Inputs and outputs must be whole: the models refuse unknown names and missing ones.
"""

from typing import Any

from provider.resource_type import ResourceType, resource_type
from provider.server import mistakes, planned
from provider.wire_values import from_model, plain

Properties = dict[str, Any]


def create(name: str, inputs: Properties, said: list[str] | None = None) -> Properties:
    """Make a resource; gives its outputs. The lines that it says go to `said`."""
    kind = resource_type(name)
    made = kind.create(_checked(kind, inputs), _say(said))
    return plain(from_model(made))


def changes(name: str, inputs: Properties, outputs: Properties, news: Properties | None = None) -> dict[str, Any]:
    """What an update to `news` would change, by property path; without `news` no input changed."""
    kind = resource_type(name)
    news = inputs if news is None else news
    _checked(kind, news)
    return planned(kind, inputs, {**inputs, **outputs}, news)


def update(name: str, inputs: Properties, outputs: Properties, news: Properties | None = None) -> Properties:
    """Change a resource to `news`, or make it anew as it is declared; gives its outputs."""
    kind = resource_type(name)
    known = kind.outputs.model_validate(outputs)
    new = _checked(kind, inputs if news is None else news)
    return plain(from_model(kind.update(_checked(kind, inputs), known, new, _say(None))))


def read(name: str, inputs: Properties, outputs: Properties, said: list[str] | None = None) -> Properties:
    """Measure a resource; gives its outputs."""
    kind = resource_type(name)
    found = kind.read(_checked(kind, inputs), kind.outputs.model_validate(outputs), _say(said))
    return plain(from_model(found))


def _checked(kind: ResourceType[Any, Any], inputs: Properties) -> Any:
    assert mistakes(kind.inputs, inputs) == []
    return kind.inputs.model_validate(inputs)


def _say(said: list[str] | None) -> Any:
    return (said if said is not None else []).append
