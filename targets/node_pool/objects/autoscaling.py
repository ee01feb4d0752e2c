"""Replicas by load: a HorizontalPodAutoscaler with the Prometheus adapter's rule, or KEDA's ScaledObject."""

from typing import Any

import yaml

from settings.node_pool import Autoscale
from targets.node_pool.object_names import FRONT_DOOR, REPLICA, Names, manifest
from targets.node_pool.objects.queries import queue_ms, waking_requests
from targets.node_pool.rendering import Manifest, Options

__all__ = ["QUEUE_METRIC", "autoscaler", "autoscaling"]

QUEUE_METRIC = "triton_queue_ms_per_request"
_ADAPTER_TEMPLATE = "<<.LabelMatchers>>"
_ADAPTER_GROUP = "<<.GroupBy>>"
_NEVER = "1000000000"  # requests a second, milliseconds, per cent: more than there will be


def autoscaling(options: Options) -> list[Manifest]:
    """Render the autoscaler, and what its metric needs; nothing where `nodePool.autoscale` is not set."""
    autoscale = options.pool.autoscale
    if autoscale is None:
        return []
    made = autoscaler(options, autoscale, REPLICA, autoscale.min_replicas)
    adapter = [_adapter_rule(options)] if autoscale.by == "queueTime" and not autoscale.keda else []
    return [made, *adapter]


def autoscaler(options: Options, autoscale: Autoscale, component: str, least: int) -> Manifest:
    """Render the autoscaler of the replicas, or of a candidate's, with `least` of them at least."""
    render = _scaled_object if autoscale.keda else _horizontal_pod_autoscaler
    return render(options, autoscale, component, least)


def _horizontal_pod_autoscaler(options: Options, autoscale: Autoscale, component: str, least: int) -> Manifest:
    name = Names.of(options).deployment(component)
    queue = {
        "type": "Pods",
        "pods": {
            "metric": {"name": QUEUE_METRIC},
            "target": {"type": "AverageValue", "averageValue": f"{round(autoscale.target_queue_ms * 1000)}m"},
        },
    }
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": least,
        "maxReplicas": autoscale.max_replicas,
        # The larger demand wins, so CPU still scales up where the queue's metric is missing.
        "metrics": [*([queue] if autoscale.by == "queueTime" else []), *_cpu(options, autoscale)],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    return manifest(options, "autoscaling/v2", "HorizontalPodAutoscaler", name, component, spec=spec)


def _cpu(options: Options, autoscale: Autoscale) -> list[dict[str, Any]]:
    """Render the CPU of each container as a metric of its own: whichever is short of it calls for more replicas."""
    return [
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": container,
                "target": {"type": "Utilization", "averageUtilization": autoscale.target_utilization},
            },
        }
        for container in options.containers
    ]


def _adapter_rule(options: Options) -> Manifest:
    """Render a configuration of the Prometheus adapter that serves the metric; its rule can join others."""
    rule = {
        "seriesQuery": 'nv_inference_queue_duration_us{namespace!="",pod!=""}',
        "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
        "name": {"matches": ".*", "as": QUEUE_METRIC},
        "metricsQuery": queue_ms(_ADAPTER_TEMPLATE, _ADAPTER_GROUP),
    }
    data = {"config.yaml": yaml.safe_dump({"rules": [rule]}, sort_keys=False, width=1000)}
    return manifest(options, "v1", "ConfigMap", Names.of(options).adapter_rule, REPLICA, data=data)


def _scaled_object(options: Options, autoscale: Autoscale, component: str, least: int) -> Manifest:
    names = Names.of(options)
    name = names.deployment(component)
    triggers: list[dict[str, Any]] = []
    if autoscale.by == "queueTime":
        query = f"avg({queue_ms(names.metrics_of(component), 'pod')})"
        # A wait does not add up over replicas: their number follows from the quotient of wait and target. It never
        # keeps the last one awake: the probes' own golden inferences pass the queue too.
        triggers.append(
            _prometheus(autoscale, query, f"{autoscale.target_queue_ms:g}", activation=_NEVER, metric_type="Value")
        )
    if least == 0:
        # What wakes it, and keeps it awake. Its threshold keeps it from asking for more than one.
        triggers.append(_prometheus(autoscale, waking_requests(names.metrics_of(FRONT_DOOR)), _NEVER, activation="0"))
    triggers += [
        {
            "type": "cpu",
            "metricType": "Utilization",
            "metadata": {
                "value": str(autoscale.target_utilization),
                "activationValue": _NEVER,
                "containerName": container,
            },
        }
        for container in options.containers
    ]
    spec = {
        "scaleTargetRef": {"name": name},
        "minReplicaCount": least,
        "maxReplicaCount": autoscale.max_replicas,
        "pollingInterval": 15,
        "cooldownPeriod": 300,
        "triggers": triggers,
    }
    return manifest(options, "keda.sh/v1alpha1", "ScaledObject", name, component, spec=spec)


def _prometheus(
    autoscale: Autoscale, query: str, threshold: str, *, activation: str, metric_type: str = "AverageValue"
) -> dict[str, Any]:
    metadata = {
        "serverAddress": autoscale.prometheus or "",
        "query": query,
        "threshold": threshold,
        "activationThreshold": activation,
    }
    return {"type": "prometheus", "metricType": metric_type, "metadata": metadata}
