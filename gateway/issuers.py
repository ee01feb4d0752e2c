"""Issuers of tokens: the filter that verifies JSON Web Tokens, and the clusters that fetch the issuers' keys.

Envoy fetches the keys (JWKS) beside the requests and keeps the ones that it has while an issuer does not answer. A
token that is not valid is as good as none: the filter of `identities` refuses the request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.clients import SCHEMES, Client, Jwt
from gateway.outside_cluster import outside_cluster
from gateway.verified_tls import verified_tls

FILTER = "tokens"
METADATA = "envoy.filters.http.jwt_authn"
JWKS_SECONDS = 60
"""How old the keys of an issuer may be: within it, a key that the issuer withdrew still counts."""
SKEW_SECONDS = 60
FETCH_SECONDS = 5
_JWT = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_LARGEST_KEYS = 512 * 1024


@dataclass(frozen=True)
class Issuer:
    """An issuer with the clients whose tokens it makes for one audience."""

    name: str
    jwt: Jwt
    clients: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Name the metadata that has why a token is refused."""
        return f"refusal-{self.name}"

    @property
    def cluster(self) -> str:
        """Name the cluster that fetches the keys."""
        return f"issuer-{self.name}"


def issuers(clients: Sequence[Client]) -> list[Issuer]:
    """List the issuers of these clients; clients that differ in their claims alone share one."""
    found: dict[str, Issuer] = {}
    for client in clients:
        if client.jwt is None:
            continue
        text = "\n".join((client.jwt.issuer, client.jwt.audience, client.jwt.jwks_uri, client.jwt.ca))
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        before = found[name].clients if name in found else ()
        found[name] = Issuer(name, client.jwt, (*before, client.name))
    return list(found.values())


def token_filter(known: Sequence[Issuer]) -> dict[str, Any]:
    """Make the filter that verifies tokens. It refuses nobody: it leaves the claims in metadata, or why not."""
    providers = {issuer.name: _provider(issuer) for issuer in known}
    any_of: list[dict[str, Any]] = [{"provider_name": name} for name in providers]
    rule = {
        "match": {"prefix": "/"},
        "requires": {"requires_any": {"requirements": [*any_of, {"allow_missing_or_failed": {}}]}},
    }
    return {"name": FILTER, "typed_config": {"@type": _JWT, "providers": providers, "rules": [rule]}}


def issuer_clusters(known: Sequence[Issuer], roots: str) -> list[dict[str, Any]]:
    """Make the clusters that fetch the issuers' keys.

    Args:
        known: The issuers.
        roots: The file of the certificates that Envoy's machine trusts.
    """
    return [_cluster(issuer, roots) for issuer in known]


def _provider(issuer: Issuer) -> dict[str, Any]:
    jwt = issuer.jwt
    return {
        "issuer": jwt.issuer,
        "audiences": [jwt.audience],
        "forward": True,  # `identities` looks at the header too; the route removes it
        "payload_in_metadata": issuer.name,
        "failed_status_in_metadata": issuer.refusal,
        "clock_skew_seconds": SKEW_SECONDS,
        "require_expiration": True,
        "from_headers": [{"name": "authorization", "value_prefix": f"{scheme} "} for scheme in SCHEMES],
        "remote_jwks": {
            "http_uri": {"uri": jwt.jwks_uri, "cluster": issuer.cluster, "timeout": f"{FETCH_SECONDS}s"},
            "cache_duration": f"{JWKS_SECONDS}s",
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "1s"},
        },
    }


def _cluster(issuer: Issuer, roots: str) -> dict[str, Any]:
    url = urlsplit(issuer.jwt.jwks_uri)
    host, secure = url.hostname or "", url.scheme == "https"
    cluster = outside_cluster(issuer.cluster, host, url.port or (443 if secure else 80), FETCH_SECONDS)
    cluster["per_connection_buffer_limit_bytes"] = _LARGEST_KEYS
    if secure:
        trusted = {"inline_string": issuer.jwt.ca} if issuer.jwt.ca else {"filename": roots}
        cluster["transport_socket"] = verified_tls(host, trusted)
    return cluster
