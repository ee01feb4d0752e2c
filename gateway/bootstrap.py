"""Envoy's bootstrap: the admin socket, the statistics listener, the limits, and where the other files lie."""

from __future__ import annotations

from typing import Any

from gateway.clusters import file_source, socket_address
from gateway.door_metrics import FORGOTTEN_SECONDS, histogram_buckets
from gateway.front_door_options import Options
from gateway.generation_figures import FIGURES_PATH, FIGURES_QUERY
from gateway.listener import CONNECTION_MANAGER

_ADMIN = ("/ready", "/stats", "/stats/prometheus", "/clusters", "/drain_listeners", "/healthcheck/fail")


def bootstrap(options: Options) -> dict[str, Any]:
    """Make the `Bootstrap` message that Envoy starts with."""
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {
            "address": {"pipe": {"path": options.admin_socket, "mode": 0o600}},
            # No path that prints the configuration: it contains the keys.
            "allow_paths": [*({"exact": path} for path in _ADMIN), *({"prefix": f"{path}?"} for path in _ADMIN)],
        },
        "dynamic_resources": {
            "cds_config": file_source(options.directory, "clusters.json"),
            "lds_config": file_source(options.directory, "listeners.json"),
        },
        "static_resources": {"clusters": [_admin_cluster(options)], "listeners": [_stats_listener(options)]},
        "overload_manager": _overload_manager(options),
        # Envoy adds up its histograms so often; the figures of a generation are this late.
        "stats_flush_interval": "1s",
        "stats_eviction_interval": f"{FORGOTTEN_SECONDS}s",
        "stats_config": {"histogram_bucket_settings": histogram_buckets()},
    }


def _overload_manager(options: Options) -> dict[str, Any]:
    """Bound connections and memory: near the bound Envoy gives unused memory back, then refuses new requests (503).

    A request that Envoy has accepted may still grow, so the starter of Envoy also sets a limit that ends the process.
    """
    monitors = "type.googleapis.com/envoy.extensions.resource_monitors"
    heap = "envoy.resource_monitors.fixed_heap"

    def at(name: str, threshold: dict[str, Any]) -> dict[str, Any]:
        return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": heap, **threshold}]}

    return {
        "refresh_interval": "0.02s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": options.max_connections,
                },
            },
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{monitors}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": options.memory_bytes * 3 // 4,  # the guard's text is not counted
                },
            },
        ],
        "actions": [
            at("shrink_heap", {"threshold": {"value": 0.7}}),
            at("stop_accepting_requests", {"threshold": {"value": 0.95}}),
        ],
    }


def _admin_cluster(options: Options) -> dict[str, Any]:
    address = {"pipe": {"path": options.admin_socket}}
    return {
        "name": "admin",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "admin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _stats_listener(options: Options) -> dict[str, Any]:
    """Make a listener that passes GETs of a few paths to the admin interface, and nothing else."""
    routes: list[dict[str, Any]] = [
        _get("/ready", "admin"),
        _get("/stats/prometheus", "admin"),
    ]
    figures = _get(FIGURES_PATH, "admin")
    figures["route"]["prefix_rewrite"] = FIGURES_QUERY
    routes.append(figures)
    # `/metrics` belongs to the server of the models: Triton, or the scorer where there is no Triton.
    routes.append(_get("/metrics", "triton_metrics" if options.upstreams.triton else "scorer_operations"))
    # Always routed: a service may gain an entry script later, and a changed bootstrap would restart Envoy.
    scorer = _get("/scorer/metrics", "scorer_operations")
    scorer["route"] |= {"prefix_rewrite": "/metrics", "cluster_not_found_response_code": "NOT_FOUND"}
    routes.append(scorer)
    served = ", ".join(route["match"]["path"] for route in routes)
    not_found = {"status": 404, "body": {"inline_string": f"served here: {served}\n"}}
    routes.append({"match": {"prefix": "/"}, "direct_response": not_found})
    manager = {
        "@type": CONNECTION_MANAGER,
        "stat_prefix": "stats",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "route_config": {
            "name": "stats",
            "virtual_hosts": [{"name": "stats", "domains": ["*"], "routes": routes}],
            "validate_clusters": False,  # Envoy discovers the clusters of Triton and the scorer later
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": "stats",
        "address": socket_address(options.stats),
        "ignore_global_conn_limit": True,  # so that a full front door can still be observed
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _get(path: str, cluster: str) -> dict[str, Any]:
    method = {"name": ":method", "string_match": {"exact": "GET"}}
    return {"match": {"path": path, "headers": [method]}, "route": {"cluster": cluster, "timeout": "10s"}}
