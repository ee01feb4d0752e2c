"""AccessKeys: the keys of a service's front door, its own two and those of its clients."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components.service_secrets import Secrets
from provider.resources.access_key import AccessKey
from settings.clients import KeyRotation
from settings.schema import Settings

__all__ = ["AccessKeys", "AccessKeysArgs"]


@dataclass(frozen=True, kw_only=True)
class AccessKeysArgs:
    """The edition of each key (another one makes another key), and keys of the user's own, which are taken as given.

    `clients` has the editions of the keys of each client that has keys, by its name.
    """

    primary_edition: pulumi.Input[int] = 1
    secondary_edition: pulumi.Input[int] = 1
    primary_key: pulumi.Input[str] | None = None
    secondary_key: pulumi.Input[str] | None = None
    clients: Mapping[str, KeyRotation] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, secrets: Secrets) -> "AccessKeysArgs":
        """The arguments that a service's settings and secrets give."""
        return cls(
            primary_edition=settings.key_rotation.primary,
            secondary_edition=settings.key_rotation.secondary,
            primary_key=secrets.key("primary_key"),
            secondary_key=secrets.key("secondary_key"),
            clients={client.name: client.key_rotation for client in settings.clients if client.has_keys},
        )


class AccessKeys(pulumi.ComponentResource):
    """Two keys, either of which opens the front door, so that one can be rotated while clients use the other.

    `clients` has the primary and the secondary key of each client that has keys, by its name.
    """

    primary: pulumi.Output[str]
    secondary: pulumi.Output[str]
    clients: dict[str, tuple[pulumi.Output[str], pulumi.Output[str]]]

    @property
    def by_client(self) -> dict[str, dict[str, pulumi.Output[str]]]:
        """Give the keys of clients as people read them: `primary` and `secondary` of each, by its name."""
        return {
            client: {"primary": primary, "secondary": secondary}
            for client, (primary, secondary) in self.clients.items()
        }

    def __init__(self, name: str, args: AccessKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:AccessKeys", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def key(which: str, edition: pulumi.Input[int], given: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
            made = AccessKey(f"{name}-{which}", {"edition": edition, "given": given}, child)
            return pulumi.Output.secret(made.key)

        self.primary = key("primary", args.primary_edition, args.primary_key)
        self.secondary = key("secondary", args.secondary_edition, args.secondary_key)
        self.clients = {
            client: (key(f"{client}-primary", editions.primary), key(f"{client}-secondary", editions.secondary))
            for client, editions in args.clients.items()
        }
        self.register_outputs({"primary": self.primary, "secondary": self.secondary})
