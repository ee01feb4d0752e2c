"""Whose the objects of a service's names are: of one stack of this program, which their annotation names."""

from targets.errors import ServiceError
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.object_names import OWNER_ANNOTATION, Names

__all__ = ["check_holder", "check_owner", "holder_of", "others"]

# Of each kind that carries the service's names, those that clients or pods meet.
_KINDS = ("serviceaccounts", "services", "deployments")
_STRANGER = "something that no stack of this project made"


def others(cluster: Cluster, names: Names, owner: str) -> list[str]:
    """Who else has objects of the service's names: stacks, by their whole names."""
    found = set()
    for kind in _KINDS:
        for name in (names.service, names.front_door, names.replicas):
            if (there := cluster.get(kind, names.namespace, name)) is not None:
                found.add(there["metadata"].get("annotations", {}).get(OWNER_ANNOTATION) or _STRANGER)
    return sorted(found - {owner})


def check_owner(cluster: Cluster, names: Names, owner: str, *, overwrite: bool) -> None:
    """Raise `ServiceError` where the cluster has objects of the service's names that are not this stack's."""
    found = [] if overwrite else others(cluster, names, owner)
    if found:
        whose = ", ".join(f"the stack {other}" if other != _STRANGER else other for other in found)
        raise ServiceError(
            f"serviceName '{names.service}' is taken in the namespace {names.namespace} of the cluster by {whose}; "
            "choose another serviceName or nodePool.namespace, or set deployment.overwrite to true to replace that "
            "service"
        )


def holder_of(cluster: Cluster, namespace: str, name: str) -> str:
    """Give the stack that has a Deployment; "" where nobody has."""
    found = cluster.get("deployments", namespace, name)
    return str(found["metadata"].get("annotations", {}).get(OWNER_ANNOTATION, "")) if found else ""


def check_holder(cluster: Cluster, namespace: str, name: str, owner: str) -> None:
    """Raise `ServiceError` where another stack took a Deployment over: it is no longer this one's to end."""
    holder = holder_of(cluster, namespace, name)
    if holder and owner and holder != owner:
        raise ServiceError(
            f"the Deployment {name} in the namespace {namespace} is the stack {holder}'s now, which took it over: it "
            f"serves on, and nothing of {owner} is left to destroy; pulumi stack rm --force forgets it, and make up "
            "takes the service back where deployment.overwrite is true"
        )
