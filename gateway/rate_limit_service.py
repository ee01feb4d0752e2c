"""A rate limit service of the user's own, which counts the requests of a client over all front doors at once.

    request ─► the door's own count ─► the service ─┬─ OK, silent, down ─► the servers
                     429                            └─ OVER_LIMIT ─► 429

It is a gRPC server of `envoy.service.ratelimit.v3.RateLimitService`, such as envoyproxy/ratelimit. Envoy asks it for
each inference request of a client with `requests_per_second`, by the descriptor `client=<name>`. What it allows is in
its own configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import PositiveInt

from common.part import Part
from gateway.outside_cluster import outside_cluster

CLUSTER = "rate_limit_service"
_CONNECT_SECONDS = 1
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_RATE_LIMIT = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit"


class RateLimitService(Part):
    """Where the service is, and how long a request waits for it.

    Attributes:
        host: A name or an IP address.
        port: The port of its gRPC server, without TLS.
        domain: The domain of its configuration.
        timeout_ms: Milliseconds after which a request passes without an answer.
    """

    host: str
    port: PositiveInt
    domain: str
    timeout_ms: PositiveInt


def rate_limit(service: RateLimitService, descriptors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make the settings of the filter that asks the service.

    Args:
        service: The service.
        descriptors: Envoy's `RateLimit`s, which say what the service is asked.
    """
    return {
        "@type": _RATE_LIMIT,
        "domain": service.domain,
        "timeout": f"{service.timeout_ms / 1000:g}s",
        "failure_mode_deny": False,
        "rate_limited_as_resource_exhausted": True,
        "disable_x_envoy_ratelimited_header": True,
        "rate_limit_service": {
            "grpc_service": {"envoy_grpc": {"cluster_name": CLUSTER}},
            "transport_api_version": "V3",
        },
        "rate_limits": list(descriptors),
    }


def service_cluster(service: RateLimitService) -> dict[str, Any]:
    """Make the cluster of the service."""
    return {
        **outside_cluster(CLUSTER, service.host, service.port, _CONNECT_SECONDS),
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {
                    # Without pings, a connection to a machine that is gone would last for a quarter of an hour.
                    "http2_protocol_options": {"connection_keepalive": {"interval": "5s", "timeout": "2s"}}
                },
            }
        },
    }
