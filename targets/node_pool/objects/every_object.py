"""All objects of a service, in the order in which they need each other."""

from targets.node_pool.object_names import REPLICA
from targets.node_pool.objects.alerts import alerts
from targets.node_pool.objects.autoscaling import autoscaling
from targets.node_pool.objects.dashboard import dashboard
from targets.node_pool.objects.exposure import exposure
from targets.node_pool.objects.front_door_pods import front_door
from targets.node_pool.objects.monitors import monitors
from targets.node_pool.objects.namespace import namespace
from targets.node_pool.objects.network_policy import network_policies
from targets.node_pool.objects.workload import workload
from targets.node_pool.rendering import Manifest, Options

__all__ = ["objects", "objects_of"]


def objects(options: Options) -> list[Manifest]:
    """Everything that the settings ask for, as Kubernetes' JSON."""
    return [
        *namespace(options),
        *workload(options),
        *front_door(options),
        *network_policies(options),
        *exposure(options),
        *autoscaling(options),
        *monitors(options),
        *alerts(options),
        *dashboard(options),
    ]


def objects_of(component: str, options: Options) -> list[Manifest]:
    """Render the objects of one component; the namespace is the replicas'."""
    return [
        manifest
        for manifest in objects(options)
        if manifest["metadata"]["labels"].get("app.kubernetes.io/component", REPLICA) == component
    ]
