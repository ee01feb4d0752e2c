"""The two keys of a service: make them, check those that people bring, and render the filter that asks for them."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

FILTER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
CLIENT = "default"
"""Who has the two keys. The policy that lets a client in has its name, from which the access log has it."""
MIN_LENGTH = 16
MAX_LENGTH = 256
# RFC 6750, section 2.1: what may follow "Bearer ".
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


def make_key() -> str:
    """Make a key: 256 random bits in 43 characters that are safe in headers, URLs and shells."""
    return secrets.token_urlsafe(32)


def check_key(key: str, name: str = "key") -> str:
    """Return the key if clients can send it as a bearer token and it is long enough.

    Raises:
        ValueError: They cannot, or it is too short or too long. The message has `name` and never the key.
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
    """The primary and the secondary key; either opens the front door.

    Raises:
        ValueError: A key is not valid, or both are the same.
    """

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
    """Make the filter that passes requests with either key and answers 403 to others; the listener turns 403 into 401.

    It is Envoy's RBAC filter, which is stable, passes nothing when it fails, and is covered by Envoy's security policy
    for untrusted requests. It compares the whole key at once (`memcmp`). The time of that differs by less than a
    nanosecond for 32 right characters, so nobody finds a key of `make_key` by measuring it.
    """
    bearer = _authorization({"safe_regex": {"regex": "(?i:bearer) [^ ,]+"}})
    return {
        "@type": FILTER_TYPE,
        "rules": {
            "action": "ALLOW",
            "policies": {
                CLIENT: {
                    "permissions": [{"any": True}],
                    "principals": [
                        {"and_ids": {"ids": [bearer, _authorization({"suffix": f" {key}"})]}}
                        for key in (keys.primary, keys.secondary)
                    ],
                }
            },
        },
    }


def _authorization(match: dict[str, Any]) -> dict[str, Any]:
    return {"header": {"name": "authorization", "string_match": match}}
