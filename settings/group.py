"""A group of settings: the base of every class in the tree."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

__all__ = ["Group", "types_in"]


class Group(BaseModel):
    """A group of settings, frozen, in camelCase outside, which refuses keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=False,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )

    def given(self, *names: str) -> dict[str, Any]:
        """Give the settings that were given, as plain values by their names in Python; secrets stay hidden in theirs.

        Args:
            names: Which ones; by default all.
        """
        chosen = set(names or type(self).model_fields) & self.model_fields_set
        plain = self.model_dump(mode="json", exclude_unset=True, include=chosen)
        secret = {name: getattr(self, name) for name in chosen if isinstance(getattr(self, name), SecretStr)}
        return {**plain, **secret}

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        types = set(types_in(cls.model_fields[str(info.field_name)].annotation))
        if isinstance(value, bool) and types & {int, float} and bool not in types:
            raise ValueError("a number")
        return value


def types_in(annotation: Any) -> Iterator[type]:
    """Yield the classes that an annotation is made of, through unions, lists and `Annotated`."""
    outer = get_origin(annotation) or annotation
    if isinstance(outer, type):
        yield outer
    for argument in get_args(annotation):
        yield from types_in(argument)
