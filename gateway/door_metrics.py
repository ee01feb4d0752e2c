"""What the front door counts of each request, for Prometheus: who asked, who answered, with what status, how fast.

    envoy_front_door_requests{client, generation, status, grpc_status}      how many
    envoy_front_door_milliseconds{route, generation}                        how long, a histogram

An access logger of Envoy's that writes statistics counts them, so requests that the front door refuses count too. A
label without a value is empty: no server was tried, or the call is no gRPC. An unknown client is `clients.NONE`. The
generation is that of the server that was tried last, also where it did not answer.

No label has a text that a client may choose: there are as many series as declared clients, generations, routes and
statuses make, and no more than `_MOST`. Envoy forgets a series to which nothing was added for `FORGOTTEN_SECONDS`, such
as those of an old generation.
"""

from __future__ import annotations

from typing import Any

from gateway.access_log import ENDPOINT, GENERATION
from gateway.clients import NAME
from gateway.front_door_options import Options

PREFIX = "front_door"
REQUESTS = f"envoy_{PREFIX}_requests"
MILLISECONDS = f"envoy_{PREFIX}_milliseconds"
FORGOTTEN_SECONDS = 3600

_MOST = {"max_counters": 20_000, "max_histograms": 500}
"""The series that one Envoy keeps. It does not count what would need another one."""

_STATS = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config"
_GENERATION = f"%UPSTREAM_METADATA({ENDPOINT}:{GENERATION})%"
_BUCKETS = (1, 1.5, 2, 3, 5, 7.5)
_BOUNDS = [0.5, *(bound * decade for decade in (1, 10, 100, 1000) for bound in _BUCKETS), 10_000, 30_000, 60_000]


def door_metrics(options: Options) -> list[dict[str, Any]]:
    """Make the logger that counts; load balancers' health checks do not count."""
    counted = {
        "client": NAME,
        "generation": _GENERATION,
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS(SNAKE_STRING)%",
    }
    timed = {"route": "%ROUTE_NAME%", "generation": _GENERATION}
    config = {
        "@type": _STATS,
        "stats_scope": {"prefix": PREFIX, "sharing_name": PREFIX, "enable_eviction": True, **_MOST},
        "counters": [{"stat": _stat("requests", counted), "value_fixed": 1}],
        "histograms": [
            {"stat": _stat("milliseconds", timed), "unit": "Milliseconds", "value_format": "%DURATION%"},
        ],
    }
    logger: dict[str, Any] = {"name": "envoy.access_loggers.stats", "typed_config": config}
    if options.health_path is not None:
        logger["filter"] = {"not_health_check_filter": {}}
    return [logger]


def histogram_buckets() -> list[dict[str, Any]]:
    """Make the setting of the bootstrap that gives the histogram its buckets: two that follow are near each other."""
    return [{"match": {"prefix": f"{PREFIX}.milliseconds"}, "buckets": _BOUNDS}]


def _stat(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "tags": [{"name": label, "value_format": value} for label, value in labels.items()]}
