"""Replicas by load: a HorizontalPodAutoscaler with the Prometheus adapter's rule, or KEDA's ScaledObject."""

from typing import Any

import yaml

from node_pool.names import FRONT_DOOR, REPLICA, Names, manifest
from node_pool.options import Manifest, Options
from node_pool.queries import front_door_requests, queue_ms
from settings.node_pool import Autoscale

__all__ = ["QUEUE_METRIC", "autoscaling"]

QUEUE_METRIC = "triton_queue_ms_per_request"
_ADAPTER_TEMPLATE = "<<.LabelMatchers>>"
_ADAPTER_GROUP = "<<.GroupBy>>"


def autoscaling(options: Options) -> list[Manifest]:
    """The autoscaler, and what its metric needs; nothing where `nodePool.autoscale` is not set."""
    autoscale = options.pool.autoscale
    if autoscale is None:
        return []
    if autoscale.keda:
        return [_scaled_object(options, autoscale)]
    adapter = [_adapter_rule(options)] if autoscale.by == "queueTime" else []
    return [_horizontal_pod_autoscaler(options, autoscale), *adapter]


def _horizontal_pod_autoscaler(options: Options, autoscale: Autoscale) -> Manifest:
    names = Names.of(options)
    queue = {
        "type": "Pods",
        "pods": {
            "metric": {"name": QUEUE_METRIC},
            "target": {"type": "AverageValue", "averageValue": f"{round(autoscale.target_queue_ms * 1000)}m"},
        },
    }
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.service},
        "minReplicas": autoscale.min_replicas,
        "maxReplicas": autoscale.max_replicas,
        # The larger demand wins, so CPU still scales up where the queue's metric is missing.
        "metrics": [*([queue] if autoscale.by == "queueTime" else []), _cpu(options, autoscale)],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    return manifest(options, "autoscaling/v2", "HorizontalPodAutoscaler", names.service, REPLICA, spec=spec)


def _cpu(options: Options, autoscale: Autoscale) -> dict[str, Any]:
    # One container's, by name: in a pod's sum some versions of Kubernetes leave sidecars out.
    return {
        "type": "ContainerResource",
        "containerResource": {
            "name": "cpu",
            "container": options.main_container,
            "target": {"type": "Utilization", "averageUtilization": autoscale.target_utilization},
        },
    }


def _adapter_rule(options: Options) -> Manifest:
    """A configuration of the Prometheus adapter that serves the metric; its rule can join others."""
    rule = {
        "seriesQuery": 'nv_inference_queue_duration_us{namespace!="",pod!=""}',
        "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
        "name": {"matches": ".*", "as": QUEUE_METRIC},
        "metricsQuery": queue_ms(_ADAPTER_TEMPLATE, _ADAPTER_GROUP),
    }
    data = {"config.yaml": yaml.safe_dump({"rules": [rule]}, sort_keys=False, width=1000)}
    return manifest(options, "v1", "ConfigMap", Names.of(options).adapter_rule, REPLICA, data=data)


def _scaled_object(options: Options, autoscale: Autoscale) -> Manifest:
    names = Names.of(options)
    triggers: list[dict[str, Any]] = []
    if autoscale.by == "queueTime":
        query = f"avg({queue_ms(names.metrics_of(REPLICA), 'pod')})"
        # A wait does not add up over replicas: their number follows from the quotient of wait and target.
        triggers.append(_prometheus(autoscale, query, f"{autoscale.target_queue_ms:g}", metric_type="Value"))
    if autoscale.min_replicas == 0:
        # What wakes it: a request that met no replica. Its threshold keeps it from asking for more than one.
        triggers.append(_prometheus(autoscale, front_door_requests(names.metrics_of(FRONT_DOOR)), "1000000"))
    triggers.append(
        {
            "type": "cpu",
            "metricType": "Utilization",
            "metadata": {"value": str(autoscale.target_utilization), "containerName": options.main_container},
        }
    )
    spec = {
        "scaleTargetRef": {"name": names.service},
        "minReplicaCount": autoscale.min_replicas,
        "maxReplicaCount": autoscale.max_replicas,
        "pollingInterval": 15,
        "cooldownPeriod": 300,
        "triggers": triggers,
    }
    return manifest(options, "keda.sh/v1alpha1", "ScaledObject", names.service, REPLICA, spec=spec)


def _prometheus(
    autoscale: Autoscale, query: str, threshold: str, *, metric_type: str = "AverageValue"
) -> dict[str, Any]:
    address = autoscale.prometheus or ""
    return {
        "type": "prometheus",
        "metricType": metric_type,
        "metadata": {"serverAddress": address, "query": query, "threshold": threshold, "activationThreshold": "0"},
    }
