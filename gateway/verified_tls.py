"""TLS to a server of somebody else: its certificate must name it, and roots that Envoy trusts must vouch for it."""

from __future__ import annotations

import ipaddress
from typing import Any

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def verified_tls(host: str, trusted: dict[str, str]) -> dict[str, Any]:
    """Make the transport socket of a cluster.

    Args:
        host: The server's name or address.
        trusted: The roots, as Envoy's `DataSource`.
    """
    kind = "IP_ADDRESS" if _is_ip(host) else "DNS"
    names = [{"san_type": kind, "matcher": {"exact": host}}]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TLS,
            **({} if kind == "IP_ADDRESS" else {"sni": host}),
            "common_tls_context": {
                "validation_context": {"trusted_ca": trusted, "match_typed_subject_alt_names": names}
            },
        },
    }


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
