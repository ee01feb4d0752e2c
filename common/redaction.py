"""Credentials in URLs: find them in settings, and blank them in every text for people or logs.

sftp://me:secret@host/x          ->  sftp://me:***@host/x
https://token@host/simple        ->  https://***@host/simple
https://host/x.whl?sig=abc       ->  https://host/x.whl?***
abfs://container@account/...     stays: the name before the '@' is no credential there
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["credential_in", "names_secret", "redacted"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_END = re.compile(r"[\s\"'<>`]")
# Schemes whose user alone is no credential: the user logs in by a key, or the name is a container of Azure's.
_NAMES_ALONE = re.compile(r"(abfss?|wasbs?|az|adl|sftp|scp|smb|hdfs|webhdfs|([a-z]+\+)?ssh)://", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:^|&)([^=&]*(?:token|secret|password|passwd|pwd|key|auth|sig|signature|credential)[^=&]*)=", re.IGNORECASE
)

_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:tokens?|secrets?|keys?|auth|credentials?|pwd)$|secret|password|passwd|passphrase|apikey|(?:^|_)key(?:_|$)",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Blank everything in the URLs of a text that may be a credential: passwords, tokens in place of users, queries."""
    shown, end = "", 0
    for url in _urls(text):
        user = url.user
        if user and ":" in user:
            user = f"{user.partition(':')[0]}:***@"
        elif user:
            user = f"{user}@" if _NAMES_ALONE.fullmatch(url.scheme) else "***@"
        query = "?***" if url.query else ""
        shown += f"{text[end : url.start]}{url.scheme}{user}{url.place}{query}{url.fragment}"
        end = url.end
    return shown + text[end:]


def credential_in(text: str) -> str:
    """Say which part of the URLs in a text may be a credential; "" where no part may be."""
    for url in _urls(text):
        if ":" in url.user:
            return "a password"
        if url.user and not _NAMES_ALONE.fullmatch(url.scheme):
            return "a user or a token before the '@'"
        if secret := _SECRET_NAME.search(url.query):
            return f"'{secret[1]}' in its query"
    return ""


def names_secret(variable: str) -> bool:
    """Tell whether a variable's name says that its value is a secret, as `AWS_SECRET_ACCESS_KEY` does."""
    return _SECRET_VARIABLE.search(variable) is not None


@dataclass(frozen=True)
class _Url:
    """A URL in a text: from `start` to `end`, made of its parts in this order. `user` has no '@', `query` no '?'."""

    start: int
    end: int
    scheme: str
    user: str
    place: str
    query: str
    fragment: str


def _urls(text: str) -> Iterator[_Url]:
    schemes = list(_SCHEME.finditer(text))
    for number, scheme in enumerate(schemes):
        ends = [found.start() for found in (_END.search(text, scheme.end()),) if found]
        ends += [following.start() for following in schemes[number + 1 : number + 2]]
        end = min(ends, default=len(text))
        user, rest = _split(text[scheme.end() : end])
        rest, sharp, fragment = rest.partition("#")
        place, _, query = rest.partition("?")
        yield _Url(scheme.start(), end, scheme[0], user, place, query, sharp + fragment)


def _split(rest: str) -> tuple[str, str]:
    """Split the userinfo of a URL from the rest.

    A password may contain characters that should have been escaped, so it ends at the last '@', wherever that stands.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and re.match(r"[^\[:@/?#]*:(?!\d*([/?#]|$))", rest):  # no port follows the colon
        user = rest.rpartition("@")[0]
    elif "@" in authority:
        user = authority.rpartition("@")[0]
    else:
        return "", rest
    return user, rest[len(user) + 1 :]
