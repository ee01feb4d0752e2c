"""AccessKeys: the two keys of a service's front door."""

from dataclasses import dataclass

import pulumi

from components.service_secrets import Secrets
from provider.resources.access_key import AccessKey
from settings.schema import Settings

__all__ = ["AccessKeys", "AccessKeysArgs"]


@dataclass(frozen=True, kw_only=True)
class AccessKeysArgs:
    """The edition of each key (another one makes another key), and keys of the user's own, which are taken as given."""

    primary_edition: pulumi.Input[int] = 1
    secondary_edition: pulumi.Input[int] = 1
    primary_key: pulumi.Input[str] | None = None
    secondary_key: pulumi.Input[str] | None = None

    @classmethod
    def of(cls, settings: Settings, secrets: Secrets) -> "AccessKeysArgs":
        """The arguments that a service's settings and secrets give."""
        return cls(
            primary_edition=settings.key_rotation.primary,
            secondary_edition=settings.key_rotation.secondary,
            primary_key=secrets.key("primary_key"),
            secondary_key=secrets.key("secondary_key"),
        )


class AccessKeys(pulumi.ComponentResource):
    """Two keys, either of which opens the front door, so that one can be rotated while clients use the other."""

    primary: pulumi.Output[str]
    secondary: pulumi.Output[str]

    def __init__(self, name: str, args: AccessKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:AccessKeys", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        primary = AccessKey(f"{name}-primary", {"edition": args.primary_edition, "given": args.primary_key}, child)
        secondary = AccessKey(
            f"{name}-secondary", {"edition": args.secondary_edition, "given": args.secondary_key}, child
        )
        self.primary = pulumi.Output.secret(primary.key)
        self.secondary = pulumi.Output.secret(secondary.key)
        self.register_outputs({"primary": self.primary, "secondary": self.secondary})
