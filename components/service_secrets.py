"""The secrets that a service is given: plain in the program, or outputs of other resources."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from gateway.keys import check_key

__all__ = ["Secret", "Secrets"]

_SETTINGS = ("primary_key", "secondary_key", "image_password")
"""The secrets that a stack's file has settings for."""

Secret = pulumi.Input[str] | SecretStr | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Secrets:
    """Secrets by their names as arguments; None where the service is given none."""

    primary_key: Secret = None
    secondary_key: Secret = None
    image_password: Secret = None
    kubeconfig: Secret = None

    @property
    def names(self) -> set[str]:
        """Name the settings that are given, as a stack's file names them."""
        return {to_camel(name) for name in _SETTINGS if getattr(self, name) is not None}

    @property
    def known(self) -> dict[str, Any]:
        """Give the settings that are no outputs, for the rules to judge."""
        values = {name: getattr(self, name) for name in _SETTINGS}
        return {name: value for name, value in values.items() if isinstance(value, str | SecretStr)}

    def key(self, name: str) -> pulumi.Output[str] | None:
        """Give a key as a secret output, which fails where its value is no key; None where none is given."""
        given = self.output(name)

        def checked(key: str) -> str:
            try:
                check_key(key, to_camel(name))
            except ValueError as error:
                raise pulumi.RunError(str(error)) from None
            return key

        return given.apply(checked) if given is not None else None

    def output(self, name: str) -> pulumi.Output[str] | None:
        """Give a secret as a secret output; None where none is given."""
        value = getattr(self, name)
        if value is None:
            return None
        return pulumi.Output.secret(value.get_secret_value() if isinstance(value, SecretStr) else value)
