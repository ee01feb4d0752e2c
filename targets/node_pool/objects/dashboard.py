"""A Grafana dashboard, in the ConfigMap that Grafana's sidecar looks for."""

import json
from typing import Any

from gateway.door_metrics import REQUESTS
from targets.node_pool.object_names import FRONT_DOOR, REPLICA, Names, manifest
from targets.node_pool.objects.queries import (
    FAILED,
    FRONT_DOOR_PREFIX,
    LIMITED,
    NOT_GRANTED,
    RATE_WINDOW,
    answers,
    error_ratio,
    failure_ratio,
    known_clients,
    queue_ms,
    strangers,
)
from targets.node_pool.rendering import Manifest, Options

__all__ = ["dashboard"]

_WIDTH, _HEIGHT = 8, 8  # of Grafana's grid, 24 wide
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(options: Options) -> list[Manifest]:
    """Render the dashboard; nothing where `nodePool.monitoring.dashboard` is not set."""
    if not options.pool.monitoring.dashboard:
        return []
    name = Names.of(options).dashboard
    data = {f"{name}.json": json.dumps(_dashboard(options), indent=1) + "\n"}
    return [manifest(options, "v1", "ConfigMap", name, REPLICA, labels={"grafana_dashboard": "1"}, data=data)]


def _dashboard(options: Options) -> dict[str, Any]:
    panels = [*_front_door_panels(options), *(_triton_panels(options) if options.triton else [])]
    bottom = _place(panels, 0)
    variables: list[dict[str, Any]] = [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    if options.settings.deployment.auth_enabled:
        panels.append(_clients_row(options, bottom))
        variables.append(_clients_variable(options))
    inner = [panel for row in panels for panel in row.get("panels", ())]
    for number, panel in enumerate([*panels, *inner], 1):
        panel["id"] = number
    return {
        "title": f"Triton serving: {options.settings.service_name}",
        "uid": f"triton-{options.settings.service_name}"[:40],
        "schemaVersion": 39,
        "tags": ["triton"],
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": variables},
        "panels": panels,
    }


def _place(panels: list[dict[str, Any]], top: int) -> int:
    """Place panels in rows of three, and give the line below them."""
    for index, panel in enumerate(panels):
        panel["gridPos"] = {"x": index % 3 * _WIDTH, "y": top + index // 3 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
    return top + -(-len(panels) // 3) * _HEIGHT


def _clients_variable(options: Options) -> dict[str, Any]:
    """Make the variable that has the clients' names, of which the reader chooses some or all."""
    known = known_clients(Names.of(options).metrics_of(FRONT_DOOR))
    return {
        "name": "client",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values({REQUESTS}{{{known}}}, client)", "refId": "clients"},
        "refresh": 2,  # whenever the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _clients_row(options: Options, top: int) -> dict[str, Any]:
    """Make the row that Grafana repeats for each client; it asks for nothing before a reader opens it."""
    own = f'{Names.of(options).metrics_of(FRONT_DOOR)},client="$client"'
    by_status = answers(own, "status, grpc_status")
    refused, limited, failed = (
        f"{answers(own, statuses=each)} or vector(0)" for each in (NOT_GRANTED, LIMITED, FAILED)
    )
    panels = [
        _panel("$client: answers a second, by status", "reqps", (by_status, "{{status}} {{grpc_status}}")),
        _panel("$client: refused, a second", "reqps", (refused, "403: not granted"), (limited, "429: over a limit")),
        _panel("$client: failed, a second", "reqps", (failed, "5xx")),
    ]
    _place(panels, top + 1)
    place = {"x": 0, "y": top, "w": 3 * _WIDTH, "h": 1}
    return {
        "title": "Client $client",
        "type": "row",
        "repeat": "client",
        "collapsed": True,
        "gridPos": place,
        "panels": panels,
    }


def _front_door_panels(options: Options) -> list[dict[str, Any]]:
    envoy = Names.of(options).metrics_of(FRONT_DOOR)
    door = f"{envoy},{FRONT_DOOR_PREFIX}"
    by_class = f"sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx{{{door}}}[{RATE_WINDOW}]))"
    seconds = f"envoy_http_downstream_rq_time_bucket{{{door}}}"
    late = f"histogram_quantile(0.99, sum by (le) (rate({seconds}[{RATE_WINDOW}])))"
    middle = f"histogram_quantile(0.5, sum by (le) (rate({seconds}[{RATE_WINDOW}])))"
    served = f'{envoy},envoy_cluster_name=~"(triton|triton_grpc|scorer)(-candidate)?"'
    shares = f"sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_completed{{{served}}}[{RATE_WINDOW}]))"
    unknown, known = strangers(envoy), answers(known_clients(envoy), "client")
    healthy = f"max by (envoy_cluster_name) (envoy_cluster_membership_healthy{{{envoy}}})"
    return [
        _panel("Answers a second, by class", "reqps", (by_class, "{{envoy_response_code_class}}xx")),
        _panel("Answer time", "ms", (middle, "median"), (late, "99 of 100")),
        _panel("5xx of all answers", "percentunit", (error_ratio(envoy), "errors")),
        _panel("Replicas that Envoy sends to", "none", (healthy, "{{envoy_cluster_name}}")),
        _panel("Requests a second, of both versions", "reqps", (shares, "{{envoy_cluster_name}}")),
        _panel("Answers a second, by client", "reqps", (known, "{{client}}"), (unknown, "unknown (401)")),
    ]


def _triton_panels(options: Options) -> list[dict[str, Any]]:
    selector = Names.of(options).metrics_of(REPLICA)

    def rate(metric: str) -> str:
        return f"sum by (model) (rate({metric}{{{selector}}}[{RATE_WINDOW}]))"

    def mean_ms(metric: str) -> str:
        return f"{rate(metric)} / clamp_min({rate('nv_inference_request_success')}, 1e-9) / 1000"

    batch = f"{rate('nv_inference_count')} / clamp_min({rate('nv_inference_exec_count')}, 1e-9)"
    return [
        _panel("Inferences a second", "reqps", (rate("nv_inference_count"), "{{model}}")),
        _panel("Batch size", "none", (batch, "{{model}}")),
        _panel("Queue time of a request, by replica", "ms", (queue_ms(selector, "pod"), "{{pod}}")),
        _panel("Time in the model", "ms", (mean_ms("nv_inference_compute_infer_duration_us"), "{{model}}")),
        _panel(
            "Requests waiting", "none", (_sum("nv_inference_pending_request_count", selector, "model"), "{{model}}")
        ),
        _panel("Failed requests of all", "percentunit", (failure_ratio(selector), "{{model}}")),
        _panel("GPU in use", "percentunit", (f"nv_gpu_utilization{{{selector}}}", "{{pod}} {{gpu_uuid}}")),
        _panel("GPU memory", "bytes", (f"nv_gpu_memory_used_bytes{{{selector}}}", "{{pod}} {{gpu_uuid}}")),
        _panel("CPU memory in use", "bytes", (f"nv_cpu_memory_used_bytes{{{selector}}}", "{{pod}}")),
    ]


def _sum(metric: str, selector: str, by: str) -> str:
    return f"sum by ({by}) ({metric}{{{selector}}})"


def _panel(title: str, unit: str, *queries: tuple[str, str]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "timeseries",
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries)
        ],
    }
