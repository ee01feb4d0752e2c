"""The keys of a service and of its clients: make them, and check those that people bring."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

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
    """A primary and a secondary key; either opens the front door.

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
