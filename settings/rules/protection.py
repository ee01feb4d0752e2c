"""Rules that protect people: keys stay secret, and a service that strangers can reach is guarded and limited."""

from collections.abc import Collection, Iterator

from gateway.keys import check_key
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings, Target
from settings.unreadable import is_unreadable

__all__ = ["encryption_rules", "protection_rules"]

ENCRYPTED = ("primaryKey", "secondaryKey", "imagePassword")
"""The settings that the stack's file may encrypt: no other one is kept from those who look at what runs."""


@rule
def protection_rules(settings: Settings, secret: Collection[str]) -> Iterator[Mistake]:
    """Yield the rules that leave people unprotected.

    Args:
        settings: A stack's settings.
        secret: The paths of the settings that the stack's file encrypts.
    """
    yield from _given_keys_are_not_rotated(settings, secret)
    yield from _keys_are_secret(settings, secret)
    yield from _keys_are_two(settings)
    if settings.deployment.target is Target.NODE_POOL:  # whose other rules of exposure are its own
        yield from _exposed_means_limited(settings)
    elif settings.deployment.public:
        yield from _public_means_guarded(settings)


@rule
def encryption_rules(secret: Collection[str], settings: Settings | None) -> Iterator[Mistake]:
    """Yield the settings that the stack's file encrypts in vain: their values show wherever the service runs.

    Args:
        secret: The paths of the settings that the stack's file encrypts.
        settings: The stack's settings, whose target decides what to do in place of that; None where they have no form.
    """
    if _is_for_a_pool(settings):
        instead = "put it into a Kubernetes Secret and name that in nodePool.credentialsSecret"
    else:
        instead = "put it into a file that the script reads, or use the machine's own identity"
    for path in sorted(set(secret) - set(ENCRYPTED)):
        yield Mistake(
            path=path,
            expected=f"is encrypted, and only {', '.join(ENCRYPTED[:-1])} and {ENCRYPTED[-1]} may be: the others are "
            f"seen by whoever may list processes, containers or pods; {instead}",
        )


def _is_for_a_pool(settings: Settings | None) -> bool:
    try:
        return settings is not None and settings.deployment.target is Target.NODE_POOL
    except AttributeError as error:
        if not is_unreadable(error):
            raise
        return False


@rule
def _keys_are_secret(settings: Settings, secret: Collection[str]) -> Iterator[Mistake]:
    for path, key in (("primaryKey", settings.primary_key), ("secondaryKey", settings.secondary_key)):
        if key is None:
            continue
        if path not in secret:
            yield Mistake(
                path=path, expected=f"stands in plain text; set it with: pulumi config set --secret {path} <key>"
            )
        try:
            check_key(key.get_secret_value(), path)
        except ValueError as error:
            yield Mistake(path=path, expected=str(error).removeprefix(f"{path}: "))


@rule
def _keys_are_two(settings: Settings) -> Iterator[Mistake]:
    if settings.primary_key is not None and settings.primary_key == settings.secondary_key:
        yield Mistake(
            path="secondaryKey",
            expected="equals primaryKey; expected another key, so that one can be rotated while the other works",
        )


@rule
def _given_keys_are_not_rotated(settings: Settings, secret: Collection[str]) -> Iterator[Mistake]:
    for name, edition in (("primary", settings.key_rotation.primary), ("secondary", settings.key_rotation.secondary)):
        given = f"{name}Key"
        if edition > 1 and (getattr(settings, f"{name}_key") is not None or given in secret):
            yield Mistake(
                path=f"keyRotation.{name}",
                value=str(edition),
                expected=f"does nothing while {given} is given: remove this, and set another {given} to rotate it",
            )


@rule
def _public_means_guarded(settings: Settings) -> Iterator[Mistake]:
    deployment = settings.deployment
    if not deployment.auth_enabled:
        yield Mistake(
            path="deployment.authEnabled",
            value="false",
            expected="expected true where deployment.public is true: whoever reaches this machine could use it",
        )
    if settings.tls is None:
        yield Mistake(
            path="tls",
            expected="is required where deployment.public is true: keys would cross the network in clear text",
        )
    yield from _limited(settings, "deployment.public is true")


@rule
def _exposed_means_limited(settings: Settings) -> Iterator[Mistake]:
    exposure = settings.node_pool.exposure
    if exposure.kind in ("ingress", "gateway") or (exposure.kind == "loadBalancer" and not exposure.internal):
        yield from _limited(settings, f"nodePool.exposure.kind is '{exposure.kind}'")


@rule
def _limited(settings: Settings, where: str) -> Iterator[Mistake]:
    if settings.deployment.max_requests_per_second is None:
        yield Mistake(
            path="deployment.maxRequestsPerSecond",
            expected=f"is required where {where}: without a limit one caller can take all there is",
        )
