"""The replicas: their Deployment, the headless Service that Envoy finds them by, and what guards them."""

from typing import Any

from environment.image_layout import (
    RECORDER_PORT,
    SCORER_PORT,
    TRITON_GRPC_PORT,
    TRITON_HTTP_PORT,
    TRITON_METRICS_PORT,
    USER,
)
from targets.node_pool.lifecycle import Times
from targets.node_pool.object_names import REPLICA, Names, manifest
from targets.node_pool.objects.image_pull import image_pull, pull_secrets
from targets.node_pool.objects.pod_containers import replica_containers, replica_volumes
from targets.node_pool.objects.scheduling import replica_placement
from targets.node_pool.objects.security import pod_security
from targets.node_pool.objects.strategy import strategy
from targets.node_pool.rendering import Manifest, Options

__all__ = ["deployment", "disruption_budget", "headless_service", "service_account", "workload"]


def workload(options: Options) -> list[Manifest]:
    """Render the objects of the replicas."""
    names = Names.of(options)
    return [
        service_account(options, names.service, REPLICA, annotations=options.pool.service_account_annotations),
        *image_pull(options),
        headless_service(options, REPLICA),
        deployment(options, REPLICA),
        disruption_budget(options, names.service, REPLICA),
    ]


def service_account(options: Options, name: str, component: str, annotations: dict[str, str] | None = None) -> Manifest:
    """Render an account of the pods' own, whose token they do not get: they never call Kubernetes."""
    account = manifest(options, "v1", "ServiceAccount", name, component, annotations=annotations)
    return {**account, "automountServiceAccountToken": False}


def disruption_budget(options: Options, name: str, component: str) -> Manifest:
    """Drains take one pod of a component at a time, and never wait for one that is broken anyway."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": Names.of(options).selector(component)},
    }
    return manifest(options, "policy/v1", "PodDisruptionBudget", name, component, spec=spec)


def headless_service(options: Options, component: str) -> Manifest:
    """Render the Service whose name gives the addresses of a component's ready pods."""
    names = Names.of(options)
    # By number: up to 1.32 Kubernetes does not find the names of a sidecar's ports.
    ports: list[dict[str, Any]] = []
    if options.triton:
        ports += [
            {"name": "http", "port": TRITON_HTTP_PORT, "targetPort": TRITON_HTTP_PORT},
            {
                "name": "grpc",
                "port": TRITON_GRPC_PORT,
                "targetPort": TRITON_GRPC_PORT,
                "appProtocol": "kubernetes.io/h2c",
            },
            {"name": "metrics", "port": TRITON_METRICS_PORT, "targetPort": TRITON_METRICS_PORT},
        ]
    if options.scorer:
        ports.append({"name": "score", "port": SCORER_PORT, "targetPort": SCORER_PORT})
    if options.recorded_megabytes is not None:
        ports.append({"name": "record", "port": RECORDER_PORT, "targetPort": RECORDER_PORT})
    spec = {"clusterIP": "None", "selector": names.selector(component), "ports": ports}
    return manifest(options, "v1", "Service", names.headless(component), component, spec=spec)


def deployment(options: Options, component: str) -> Manifest:
    """Render the Deployment of the replicas, or of a candidate's, whose pods differ in their labels alone."""
    names, times, pool, secrets = Names.of(options), Times.of(options), options.pool, pull_secrets(options)
    pod: dict[str, Any] = {
        "serviceAccountName": names.service,
        "automountServiceAccountToken": False,
        # Variables named after Services would meet those of the same prefix that the scorer reads.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": times.grace,
        "securityContext": pod_security(USER),
        **replica_placement(options, component),
        **({"imagePullSecrets": secrets} if secrets else {}),
        **replica_containers(options),
        "volumes": replica_volumes(options),
    }
    spec = {
        # An autoscaler's number is not ours to set back.
        **({"replicas": pool.num_replicas} if pool.autoscale is None else {}),
        # Room for versions that failed: the one that served before them is kept.
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": times.progress,
        "strategy": strategy(options),
        "selector": {"matchLabels": names.selector(component)},
        "template": {
            "metadata": {
                "labels": {**names.labels(component), **pool.pod_labels},
                "annotations": {"kubectl.kubernetes.io/default-container": options.main_container},
            },
            "spec": pod,
        },
    }
    return manifest(options, "apps/v1", "Deployment", names.deployment(component), component, spec=spec)
