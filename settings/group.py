"""A group of settings: the base of every class in the tree."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Group(BaseModel):
    """A group of settings, frozen, in camelCase outside, which refuses keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=False, coerce_numbers_to_str=True
    )
