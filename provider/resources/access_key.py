"""A key to the front door."""

import pulumi
from pydantic import SecretStr

from common.part import Part
from gateway.keys import make_key
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say

__all__ = ["AccessKey", "AccessKeyType"]


class Inputs(Part):
    """`edition` counts a key's rotations; `given` is a key of the user's own."""

    edition: int
    given: SecretStr | None = None


class Outputs(Part):
    """The key itself."""

    key: SecretStr


class AccessKeyType(ResourceType[Inputs, Outputs]):
    """A random key, made once; another `edition` makes another key, a `given` one is taken as it is."""

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return "key"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        return Outputs(key=inputs.given or SecretStr(make_key()))


class AccessKey(Declaration):
    """A key, secret in the state."""

    Inputs, Outputs = Inputs, Outputs
    key: pulumi.Output[str]
