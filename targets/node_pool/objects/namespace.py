"""The namespace, where the stack makes one of its own."""

from targets.node_pool.object_names import OWNER_ANNOTATION, Names
from targets.node_pool.objects.exposure import sends_to_pods
from targets.node_pool.rendering import Manifest, Options

__all__ = ["namespace"]


def namespace(options: Options) -> list[Manifest]:
    """Render a namespace that admits hardened pods only (Kubernetes' `restricted` profile); nothing where it exists."""
    if not options.pool.create_namespace:
        return []
    labels = {
        "app.kubernetes.io/name": "triton-serving",
        "app.kubernetes.io/managed-by": "pulumi",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    if sends_to_pods(options):
        labels["elbv2.k8s.aws/pod-readiness-gate-inject"] = "enabled"
    metadata = {
        "name": Names.of(options).namespace,
        "labels": labels,
        "annotations": {OWNER_ANNOTATION: options.owner},
    }
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]
