"""Clusters, Envoy's word for the servers behind it, and the endpoints of each."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from gateway import access_log
from gateway.front_door_options import (
    INFERENCE,
    RECORDER,
    Address,
    Candidate,
    Options,
    Upstreams,
    candidate_cluster,
    mirror_cluster,
)
from gateway.issuers import issuer_clusters, issuers
from gateway.rate_limit_service import service_cluster
from gateway.routes import seconds
from gateway.traces import collector_cluster, only_with_a_trace

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONNECTION_BUFFER = 1024 * 1024
_COPIES = 128
_RECORDER_SECONDS = 5
_MEASURED = frozenset((*INFERENCE, *map(candidate_cluster, INFERENCE), *map(mirror_cluster, INFERENCE)))
_TRITON = frozenset(name for name in _MEASURED if name.startswith("triton"))


def endpoints_file(cluster: str) -> str:
    """Name the endpoint file of a cluster: Envoy wants one resource in each file."""
    return f"endpoints.{cluster}.json"


def clusters(options: Options) -> list[dict[str, Any]]:
    """Make the `Cluster` messages of the servers behind the door, and of those that Envoy itself asks or tells."""
    serving = [_cluster(options, name, address) for name, address in options.addresses().items()]
    collector = [] if options.traces is None else [collector_cluster(options.traces, options.trusted_roots)]
    asked = [] if options.rate_limit_service is None else [service_cluster(options.rate_limit_service)]
    return serving + issuer_clusters(issuers(options.clients), options.trusted_roots) + asked + collector


def endpoints(
    serving: Upstreams,
    draining: Upstreams | None = None,
    stopped: Upstreams | None = None,
    candidate: Candidate | None = None,
) -> dict[str, dict[str, Any]]:
    """Make the `ClusterLoadAssignment` of each cluster.

    Args:
        serving: These servers get the new requests.
        draining: These get no new request, finish the open ones, and stay visible to `admin.Admin.in_flight`.
        candidate: This gets a share of the new requests, where the routes give it one.
        stopped: Clusters that only these have are left without endpoints, so Envoy closes its connections to them.

    Returns:
        The messages by the cluster's name.
    """
    new = _by_cluster(serving) | (_by_cluster(candidate) if candidate is not None else {})
    old = _by_cluster(draining) if draining is not None else {}
    gone = stopped.by_cluster() if stopped is not None else {}
    assignments = {}
    for cluster in {**new, **old, **gone}:
        found = [_endpoint(*new[cluster])] if cluster in new else []
        if cluster in old and old[cluster][0] != (new[cluster][0] if cluster in new else None):
            found.append(_endpoint(*old[cluster], "DRAINING"))
        assignments[cluster] = {"cluster_name": cluster, "endpoints": [{"lb_endpoints": found}] if found else []}
    return assignments


def _by_cluster(servers: Upstreams | Candidate) -> dict[str, tuple[Address, str]]:
    """Give the address of each cluster, and the generation of the server there."""
    number = (servers.upstreams if isinstance(servers, Candidate) else servers).generation
    return {cluster: (address, number) for cluster, address in servers.by_cluster().items()}


def copies(options: Options) -> int:
    """Return how many copies of requests may be under way in a cluster: Envoy drops further ones.

    Envoy holds a copy until the candidate or the recorder has read it. A quarter of its memory may go to those that
    hang.
    """
    return max(2, min(_COPIES, options.memory_bytes // 4 // options.max_request_bytes))


def _cluster(options: Options, name: str, address: Address) -> dict[str, Any]:
    mirrors = name == RECORDER or name in map(mirror_cluster, INFERENCE)
    limit = copies(options) if mirrors else options.max_concurrent_requests
    protocol: dict[str, Any] = (
        {"http2_protocol_options": {}} if name.startswith("triton_grpc") else {"http_protocol_options": {}}
    )
    common: dict[str, Any] = {"idle_timeout": seconds(options.upstream_idle_seconds)}
    if name == "scorer_operations":
        common["max_requests_per_connection"] = 1
    if mirrors:
        # Nobody waits for the answer to a copy, so whoever is silent must not hold it for long.
        longest = _RECORDER_SECONDS if name == RECORDER else options.timeout_seconds
        common["max_stream_duration"] = seconds(longest)
    cluster: dict[str, Any] = {
        "name": name,
        # A copy that waits for its connection makes the client wait: connections are bounded less than copies are.
        "connect_timeout": "0.5s" if mirrors else "2s",
        "lb_policy": "LEAST_REQUEST",
        # Without Envoy's panic mode: a draining or failed endpoint gets no request, even when it is the last one.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # A whole copy fits, or a candidate that does not read would keep the client from sending on.
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER + (options.max_request_bytes if mirrors else 0),
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": options.max_concurrent_requests,
                    "max_pending_requests": limit,
                    "max_requests": limit,
                    "max_retries": limit,
                }
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
    if options.traces is not None and name in _TRITON:
        cluster["typed_extension_protocol_options"][_HTTP_OPTIONS]["http_filters"] = only_with_a_trace()
    if name in _MEASURED:
        # The endpoints' counters know errors of gRPC, which HTTP answers with status 200.
        cluster["track_cluster_stats"] = {"per_endpoint_stats": True}
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
