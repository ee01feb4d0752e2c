"""All rules, in the order in which they are told."""

from policies.rules import (
    gateway_listener_named,
    images_by_digest,
    keys_on,
    limits_set,
    no_overwrite_in_production,
    no_plain_secrets,
    requests_limited,
    second_replica,
    tls_on_public_doors,
)

__all__ = ["RULES"]

RULES = (
    keys_on.RULE,
    tls_on_public_doors.RULE,
    gateway_listener_named.RULE,
    no_plain_secrets.RULE,
    no_overwrite_in_production.RULE,
    images_by_digest.RULE,
    limits_set.RULE,
    requests_limited.RULE,
    second_replica.RULE,
)
