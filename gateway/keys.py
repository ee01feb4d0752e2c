"""The two keys of a service: making them, checking those that people bring, and the filter that asks for them."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

FILTER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
MIN_LENGTH = 16
MAX_LENGTH = 256
# RFC 6750, section 2.1: what may follow "Bearer ".
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


def make_key() -> str:
    """A new key: 43 characters that are safe in headers, URLs and shells (256 bits)."""
    return secrets.token_urlsafe(32)


def check_key(key: str, name: str = "key") -> str:
    """The key itself, if it can be sent as a bearer token and is not trivially short.

    Raises:
        ValueError: It cannot. The message names `name` and what was expected, never the key.
    """
    if not MIN_LENGTH <= len(key) <= MAX_LENGTH:
        raise ValueError(f"{name}: has {len(key)} characters, expected {MIN_LENGTH} to {MAX_LENGTH}")
    if _TOKEN.fullmatch(key) is None:
        raise ValueError(
            f"{name}: has a character that a bearer token cannot have; use letters, digits and -._~+/, '=' at the end"
        )
    return key


@dataclass(frozen=True)
class Keys:
    """The primary and the secondary key; either opens the front door."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)

    def __post_init__(self) -> None:
        check_key(self.primary, "primaryKey")
        check_key(self.secondary, "secondaryKey")
        if self.primary == self.secondary:
            raise ValueError(
                "secondaryKey: equals primaryKey; two different keys let one be rotated while the other works"
            )


def key_filter(keys: Keys) -> dict[str, Any]:
    """The filter that lets requests with either key pass and answers 403 to others (which the listener makes 401).

    RBAC: it is stable, stands in Envoy's security policy as fit for strangers' requests, and lets nothing pass where
    it fails. It compares the whole key at once (`memcmp`); what that tells by its time is less than a nanosecond for
    32 right characters, so a key of `make_key` cannot be found that way.
    """
    bearer = _authorization({"safe_regex": {"regex": "(?i:bearer) [^ ,]+"}})
    return {
        "@type": FILTER_TYPE,
        "rules": {
            "action": "ALLOW",
            "policies": {
                name: {
                    "permissions": [{"any": True}],
                    "principals": [{"and_ids": {"ids": [bearer, _authorization({"suffix": f" {key}"})]}}],
                }
                for name, key in (("primary", keys.primary), ("secondary", keys.secondary))
            },
        },
    }


def _authorization(match: dict[str, Any]) -> dict[str, Any]:
    return {"header": {"name": "authorization", "string_match": match}}
