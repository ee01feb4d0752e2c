"""The program's side of a resource: a `CustomResource` whose inputs are named as its type's model names them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
from pydantic import BaseModel, SecretStr
from pydantic.alias_generators import to_camel

__all__ = ["Declaration"]


class Declaration(pulumi.CustomResource):
    """A resource `triton:index:<class name>`; its attributes are its inputs and outputs, named as in the models.

    Args of a subclass are checked by name here, and by value when the engine asks the provider to check them. An input
    may be a model without secrets.

    Attributes:
        Inputs: The model of the inputs.
        Outputs: The model of the outputs.
    """

    Inputs: type[BaseModel]
    Outputs: ClassVar[type[BaseModel]]

    def __init_subclass__(cls) -> None:
        """Tell Pulumi the outputs' types by their names on the wire: it makes integers of JSON's numbers by them."""
        super().__init_subclass__()
        named = vars(cls).get("__annotations__", {})
        named.update({to_camel(name): kind for name, kind in list(named.items())})

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, pulumi.Input[Any]],
        opts: pulumi.ResourceOptions | None = None,
        *,
        token: str = "",
    ) -> None:
        known, made = self.Inputs.model_fields, self.Outputs.model_fields
        unknown = sorted(set(inputs) - set(known))
        missing = sorted(field for field, info in known.items() if info.is_required() and field not in inputs)
        if unknown or missing:
            raise TypeError(f"{type(self).__name__} {name!r}: unknown inputs {unknown}, missing inputs {missing}")
        secret = [to_camel(field) for field, info in {**known, **made}.items() if SecretStr in _types(info.annotation)]
        props = {
            **{to_camel(field): None for field in made},
            **{to_camel(key): _on_the_wire(inputs[key]) for key in inputs},
        }
        marked = pulumi.ResourceOptions(additional_secret_outputs=secret) if secret else None
        super().__init__(
            token or f"triton:index:{type(self).__name__}", name, props, pulumi.ResourceOptions.merge(opts, marked)
        )

    def __getattr__(self, name: str) -> Any:
        """Find an output by the field's name: Pulumi keeps it by its name on the wire."""
        try:
            return self.__dict__[to_camel(name)]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no output '{name}'") from None


def _on_the_wire(value: pulumi.Input[Any]) -> pulumi.Input[Any]:
    """A model as a mapping by its names on the wire: what is None is left out."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(value, BaseModel) else value


def _types(annotation: Any) -> set[Any]:
    """The types that an annotation names, such as both of `SecretStr | None`."""
    return {annotation, *getattr(annotation, "__args__", ())}
