"""What rules read in the Kubernetes objects of a service on a node pool, and in the cloud's words for them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies.stack import Mark, Resource, Stack, at

__all__ = [
    "Container",
    "containers",
    "door_filters",
    "instance",
    "is_door",
    "is_ours",
    "is_private",
    "plain_ports",
    "replicas",
    "ways_in",
]

SERVICE = "kubernetes:core/v1:Service"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
ROUTE = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
AUTOSCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"

KEYS_FILTER = "keys"
RATE_LIMIT_FILTER = "local_ratelimit"
LISTENERS_FILE = "listeners.json"
FRONT_DOOR = "front-door"

_LABEL = "app.kubernetes.io"
_NAME = "triton-serving"


@dataclass(frozen=True)
class Container:
    """A container of a pod; `image` is None where nobody knows it yet."""

    name: str
    image: str | None
    limits: Any
    variables: Mapping[str, Any]


def is_ours(resource: Resource) -> bool:
    """Whether the resource is an object of one of this project's services."""
    return resource.type.startswith("kubernetes:") and _label(resource, "name") == _NAME


def is_door(resource: Resource) -> bool:
    """Whether the object belongs to a service's front door, and not to its replicas."""
    return is_ours(resource) and _label(resource, "component") == FRONT_DOOR


def instance(resource: Resource) -> str:
    """Give the service that an object belongs to, with its namespace."""
    return f"{at(resource.props, 'metadata', 'namespace')}/{_label(resource, 'instance')}"


def containers(resource: Resource) -> Iterator[Container]:
    """Yield the containers of a workload's pods, those that start first among them."""
    pod = at(resource.props, "spec", "template", "spec") if is_ours(resource) else None
    for group in ("initContainers", "containers"):
        listed = at(pod, group)
        for container in listed if isinstance(listed, list) else ():
            image, env = at(container, "image"), at(container, "env")
            yield Container(
                name=str(at(container, "name")),
                image=image if isinstance(image, str) else None,
                limits=at(container, "resources", "limits"),
                variables={
                    str(at(variable, "name")): at(variable, "value")
                    for variable in (env if isinstance(env, list) else ())
                    if at(variable, "value") is not None
                },
            )


def door_filters(resource: Resource) -> frozenset[str] | None:
    """Give the names of the filters that requests pass, from Envoy's files; None where the object has none."""
    if resource.type != CONFIG_MAP or not is_door(resource):
        return None
    text = at(resource.props, "data", LISTENERS_FILE)
    try:
        return frozenset(_filters(json.loads(text))) if isinstance(text, str) else None
    except ValueError:
        return None


def _filters(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        yield from (str(at(item, "name")) for item in tree.get("http_filters", ()))
    for part in tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ():
        yield from _filters(part)


def ways_in(stack: Stack) -> Iterator[Resource]:
    """Yield the objects that lead clients from outside of the cluster to a service's front door."""
    for resource in stack.of_type(SERVICE, INGRESS, ROUTE):
        balances = at(resource.props, "spec", "type") == "LoadBalancer" and not is_private(resource)
        if is_ours(resource) and (resource.type != SERVICE or balances):
            yield resource


def is_private(service: Resource) -> bool:
    """Whether a load balancer's address is a private one, in the words of Azure, AWS and Google."""
    annotations = at(service.props, "metadata", "annotations")
    if not isinstance(annotations, Mapping):
        return False
    return any(
        str(value).lower() in ("true", "internal")
        for key, value in annotations.items()
        if key.endswith(("load-balancer-internal", "load-balancer-scheme", "load-balancer-type"))
    )


def plain_ports(service: Resource) -> Iterator[str]:
    """Yield the ports of a load balancer that do not speak TLS, by their names."""
    ports = at(service.props, "spec", "ports")
    for port in ports if isinstance(ports, list) else ():
        if at(port, "name") != "https" and at(port, "port") != 443:
            yield str(at(port, "name") or int(at(port, "port")))


def replicas(deployment: Resource, stack: Stack) -> int | None:
    """Give the least number of a Deployment's pods, its autoscaler's where it has one; None where nobody knows it."""
    name = at(deployment.props, "metadata", "name")
    found = at(deployment.props, "spec", "replicas")
    for scaler, least in ((AUTOSCALER, "minReplicas"), (SCALED_OBJECT, "minReplicaCount")):
        for resource in stack.of_type(scaler):
            scaled = at(resource.props, "spec", "scaleTargetRef", "name")
            if instance(resource) == instance(deployment) and scaled == name:
                found = at(resource.props, "spec", least)
    if isinstance(found, Mark):
        return None
    return 1 if found is None else int(found)


def _label(resource: Resource, name: str) -> Any:
    return at(resource.props, "metadata", "labels", f"{_LABEL}/{name}")
