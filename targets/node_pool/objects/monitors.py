"""What tells the Prometheus operator where the metrics are: a PodMonitor or a ServiceMonitor for each component."""

from typing import Any

from targets.node_pool.object_names import FRONT_DOOR, REPLICA, STATISTICS_PORT, Names, manifest
from targets.node_pool.rendering import Manifest, Options

__all__ = ["monitors"]

_API = "monitoring.coreos.com/v1"
_INTERVAL = "15s"


def monitors(options: Options) -> list[Manifest]:
    """Render the monitors of all metrics; nothing where `nodePool.monitoring.scrape` is not set."""
    names, scrape = Names.of(options), options.pool.monitoring.scrape
    if scrape is None:
        return []
    replica = [("metrics", "/metrics")] * options.triton + [("score", "/metrics")] * options.scorer
    wanted = [(names.service, REPLICA, replica), (names.front_door, FRONT_DOOR, [("statistics", "/stats/prometheus")])]
    monitor = _pod_monitor if scrape == "podMonitor" else _service_monitor
    found = [monitor(options, name, component, endpoints) for name, component, endpoints in wanted if endpoints]
    return found if scrape == "podMonitor" else [_statistics_service(options), *found]


def _pod_monitor(options: Options, name: str, component: str, endpoints: list[tuple[str, str]]) -> Manifest:
    spec = {
        "selector": {"matchLabels": Names.of(options).selector(component)},
        "podMetricsEndpoints": [{"port": port, "path": path, "interval": _INTERVAL} for port, path in endpoints],
    }
    labels = options.pool.monitoring.labels
    return manifest(options, _API, "PodMonitor", name, component, labels=labels, spec=spec)


def _service_monitor(options: Options, name: str, component: str, endpoints: list[tuple[str, str]]) -> Manifest:
    spec = {
        # The front door's own Service has no port for statistics: it is what a load balancer would publish.
        "selector": {"matchLabels": Names.of(options).selector(component)},
        "endpoints": [{"port": port, "path": path, "interval": _INTERVAL} for port, path in endpoints],
    }
    labels = options.pool.monitoring.labels
    return manifest(options, _API, "ServiceMonitor", name, component, labels=labels, spec=spec)


def _statistics_service(options: Options) -> Manifest:
    names = Names.of(options)
    spec: dict[str, Any] = {
        "clusterIP": "None",
        "selector": names.selector(FRONT_DOOR),
        "ports": [{"name": "statistics", "port": STATISTICS_PORT, "targetPort": "statistics"}],
    }
    return manifest(options, "v1", "Service", names.statistics, FRONT_DOOR, spec=spec)
