"""Clusters of servers that are not the service's own: those of issuers, of a collector, of a rate limit service."""

from __future__ import annotations

from typing import Any


def outside_cluster(name: str, host: str, port: int, connect_seconds: int) -> dict[str, Any]:
    """Make the `Cluster` of a server that has a name or an address.

    Args:
        name: The cluster's name.
        host: The server's name or IP address.
        port: Its port.
        connect_seconds: How long a connection may take.
    """
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "wait_for_warm_on_init": False,  # a name that nobody resolves must not keep the door shut
        "dns_lookup_family": "V4_PREFERRED",  # each address gets requests, also one where nobody listens
        "connect_timeout": f"{connect_seconds}s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
