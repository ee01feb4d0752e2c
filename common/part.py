"""Parts of declarations, as Pulumi's resources and the targets take them."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Part"]


class Part(BaseModel):
    """A part of a declaration, with its names in camel case on the wire; names that it does not know are refused."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        extra="forbid",
        hide_input_in_errors=True,  # it may be a secret
    )
