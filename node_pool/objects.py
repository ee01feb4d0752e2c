"""All objects of a service, in the order in which they need each other."""

from node_pool.alerts import alerts
from node_pool.autoscaling import autoscaling
from node_pool.dashboard import dashboard
from node_pool.exposure import exposure
from node_pool.front_door import front_door
from node_pool.monitors import monitors
from node_pool.names import REPLICA
from node_pool.namespace import namespace
from node_pool.network_policy import network_policies
from node_pool.options import Manifest, Options
from node_pool.workload import workload

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
    """The objects of one component; the namespace is the replicas'."""
    return [
        manifest
        for manifest in objects(options)
        if manifest["metadata"]["labels"].get("app.kubernetes.io/component", REPLICA) == component
    ]
