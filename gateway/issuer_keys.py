"""Whether a front door gets the keys of its clients' issuers.

Envoy tells no more than how each fetch was answered. But it fetches again a second after one that gave no keys, and a
minute after one that did: so an answer of 200 that is soon followed by another had no keys in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.redaction import redacted
from common.waiting import wait_until
from gateway.admin import Admin, Answers
from gateway.clients import Client
from gateway.issuers import FETCH_SECONDS, Issuer, issuers

__all__ = ["without_keys"]

_WATCHED_SECONDS = 2.5


def without_keys(admin: Admin, clients: Sequence[Client]) -> list[str]:
    """Tell which issuers give an open front door no keys, a line each. It takes a few seconds.

    Raises:
        AdminError: Envoy does not answer.
    """
    known = issuers(clients)
    if not known:
        return []
    names = [issuer.cluster for issuer in known]
    wait_until(lambda: all(found.all for found in admin.answers(names).values()), seconds=FETCH_SECONDS + 1)
    before = admin.answers(names)

    def missing() -> list[Issuer]:
        now = admin.answers(names)
        return [issuer for issuer in known if _gave_none(issuer.cluster, before, now)]

    wait_until(lambda: len(missing()) == len(known), seconds=_WATCHED_SECONDS)
    return [_told(issuer) for issuer in missing()]


def _gave_none(cluster: str, before: Mapping[str, Answers], now: Mapping[str, Answers]) -> bool:
    had, has = before[cluster], now[cluster]
    return not has.ok or has.failed > had.failed or has.ok > had.ok + 1


def _told(issuer: Issuer) -> str:
    at = redacted(issuer.jwt.jwks_uri)
    return (
        f"the issuer {issuer.jwt.issuer} gives the front door no keys at {at}: until it does, tokens of "
        f"{', '.join(issuer.clients)} get 401, but for those of keys that were fetched before"
    )
