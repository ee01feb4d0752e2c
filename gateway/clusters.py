"""Clusters, Envoy's word for the servers behind it, and the endpoints of each."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from gateway import access_log
from gateway.front_door_options import Address, Options, Upstreams
from gateway.routes import seconds

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONNECTION_BUFFER = 1024 * 1024


def endpoints_file(cluster: str) -> str:
    """Name the endpoint file of a cluster: Envoy wants one resource in each file."""
    return f"endpoints.{cluster}.json"


def clusters(options: Options) -> list[dict[str, Any]]:
    """Make the `Cluster` messages of all servers that take clients' requests."""
    return [_cluster(options, name, address) for name, address in options.upstreams.by_cluster().items()]


def endpoints(
    serving: Upstreams, draining: Upstreams | None = None, stopped: Upstreams | None = None
) -> dict[str, dict[str, Any]]:
    """Make the `ClusterLoadAssignment` of each cluster.

    Args:
        serving: These servers get the new requests.
        draining: These get no new request, finish the open ones, and stay visible to `admin.Admin.in_flight`.
        stopped: Clusters that only these have are left without endpoints, so Envoy closes its connections to them.

    Returns:
        The messages by the cluster's name.
    """
    new = serving.by_cluster()
    old = draining.by_cluster() if draining is not None else {}
    gone = stopped.by_cluster() if stopped is not None else {}
    assignments = {}
    for cluster in {**new, **old, **gone}:
        found = [_endpoint(new[cluster], serving.generation)] if cluster in new else []
        if draining is not None and cluster in old and old[cluster] != new.get(cluster):
            found.append(_endpoint(old[cluster], draining.generation, "DRAINING"))
        assignments[cluster] = {"cluster_name": cluster, "endpoints": [{"lb_endpoints": found}] if found else []}
    return assignments


def _cluster(options: Options, name: str, address: Address) -> dict[str, Any]:
    limit = options.max_concurrent_requests
    protocol: dict[str, Any] = (
        {"http2_protocol_options": {}} if name == "triton_grpc" else {"http_protocol_options": {}}
    )
    common: dict[str, Any] = {"idle_timeout": seconds(options.upstream_idle_seconds)}
    if name == "scorer_operations":
        common["max_requests_per_connection"] = 1
    cluster: dict[str, Any] = {
        "name": name,
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        # Without Envoy's panic mode: a draining or failed endpoint gets no request, even when it is the last one.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER,
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": limit, "max_pending_requests": limit, "max_requests": limit, "max_retries": limit}
            ]
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "common_http_protocol_options": common,
                "explicit_http_config": protocol,
            }
        },
    }
    if options.discovery == "dns":
        return cluster | {
            "type": "STRICT_DNS",
            "dns_lookup_family": "V4_PREFERRED",  # Triton listens on IPv4 by default
            "dns_refresh_rate": "5s",
            "load_assignment": _assignment(name, address),
        }
    return cluster | {
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": file_source(options.directory, endpoints_file(name)),
        },
    }


def _assignment(cluster: str, address: Address) -> dict[str, Any]:
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [_endpoint(address)]}]}


def _endpoint(address: Address, generation: str = "", health: str = "") -> dict[str, Any]:
    endpoint: dict[str, Any] = {"endpoint": {"address": socket_address(address)}}
    if generation:
        endpoint["metadata"] = access_log.generation(generation)
    if health:
        endpoint["health_status"] = health
    return endpoint


def socket_address(address: Address) -> dict[str, Any]:
    """Write a TCP address in Envoy's form."""
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def file_source(directory: str, name: str) -> dict[str, Any]:
    """Make a configuration source: a file that Envoy reads again whenever something moves in its folder.

    Envoy watches the folder and not the file, because Kubernetes swaps a symbolic link beside the files that it mounts.
    """
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(PurePosixPath(directory) / name),
            "watched_directory": {"path": directory},
        },
    }
