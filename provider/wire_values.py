"""Values on the wire as Python's own, and back: secrets keep their mark, and what is not known yet stands apart."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime import rpc
from pydantic import BaseModel, SecretStr

__all__ = ["UNKNOWN", "Properties", "from_model", "plain", "unknown_paths"]

Properties = dict[str, PropertyValue]


class _Unknown:
    """A value that the engine does not know before the update."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


def plain(value: PropertyValue | Mapping[str, PropertyValue]) -> Any:
    """The value without its marks; `UNKNOWN` where it is not known. Whole numbers are integers."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    content = value.value
    if content == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(content, Mapping):
        return plain(content)
    if isinstance(content, float) and content.is_integer():
        return int(content)
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [plain(item) for item in content]
    return content


def from_model(model: BaseModel) -> Properties:
    """A model's fields by their names on the wire. A `SecretStr` is marked secret."""
    fields = type(model).model_fields
    return {fields[name].alias or name: _marked(getattr(model, name)) for name in fields}


def _marked(value: Any) -> PropertyValue:
    if isinstance(value, SecretStr):
        return PropertyValue(value.get_secret_value(), is_secret=True)
    if isinstance(value, BaseModel):
        return PropertyValue(from_model(value))
    if isinstance(value, Mapping):
        return PropertyValue({str(name): _marked(item) for name, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return PropertyValue([_marked(item) for item in value])
    if value is None or isinstance(value, bool | str):
        return PropertyValue(str(value) if isinstance(value, str) else value)
    if isinstance(value, int | float):
        return PropertyValue(float(value))
    return PropertyValue(str(value))


def unknown_paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where `UNKNOWN` stands in a plain value."""
    if value is UNKNOWN:
        return [path]
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in unknown_paths(item, (*path, key))]
