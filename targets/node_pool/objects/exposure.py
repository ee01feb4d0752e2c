"""How clients reach the front door: its Service, and an Ingress or a Gateway API route before it."""

from typing import Any

from environment.image_layout import TRITON_GRPC_PORT
from gateway.routes import GRPC_SERVICE
from targets.node_pool.object_names import FRONT_DOOR, Names, manifest
from targets.node_pool.rendering import Manifest, Options

__all__ = ["exposure", "scheme", "sends_to_pods", "service_port"]

HTTP_PORT = 80
HTTPS_PORT = 443


def scheme(options: Options) -> str:
    """Give the scheme that the front door itself speaks."""
    return "http" if options.settings.tls is None else "https"


def service_port(options: Options) -> int:
    """Give the front door's port on its Service."""
    return HTTP_PORT if options.settings.tls is None else HTTPS_PORT


def sends_to_pods(options: Options) -> bool:
    """Whether a load balancer of AWS knows the front door's pods by their addresses, and not a Service before them.

    Then a pod counts once the balancer found it healthy, and goes on serving until the balancer has forgotten it.
    """
    wanted = options.pool.exposure
    annotations = {
        "loadBalancer": {**_balancer(options), **wanted.annotations},
        "ingress": wanted.annotations,
    }.get(wanted.kind, {})
    return any(key.endswith("target-type") and value == "ip" for key, value in annotations.items())


def exposure(options: Options) -> list[Manifest]:
    """Render the front door's Service and what leads to it from outside."""
    leading = {"ingress": _ingress, "gateway": _http_route}.get(options.pool.exposure.kind)
    return [_service(options), *([leading(options)] if leading else [])]


def _service(options: Options) -> Manifest:
    names, wanted = Names.of(options), options.pool.exposure
    balanced = wanted.kind == "loadBalancer"
    ports = [{"name": scheme(options), "port": service_port(options), "targetPort": "front-door"}]
    if _routes_grpc(options):
        # For Gateways, which speak HTTP/1.1 to the other one.
        protocol = {"appProtocol": "kubernetes.io/h2c"}
        ports.append({"name": "grpc", "port": TRITON_GRPC_PORT, "targetPort": "front-door", **protocol})
    spec: dict[str, Any] = {
        "type": "LoadBalancer" if balanced else "ClusterIP",
        "selector": names.selector(FRONT_DOOR),
        "ports": ports,
    }
    if balanced and wanted.source_ranges:
        spec["loadBalancerSourceRanges"] = list(wanted.source_ranges)
    annotations = {**_balancer(options), **wanted.annotations} if balanced else {}
    return manifest(options, "v1", "Service", names.service, FRONT_DOOR, annotations=annotations, spec=spec)


def _balancer(options: Options) -> dict[str, str]:
    """Give the cloud's own words for the load balancer that is wanted."""
    preset = options.preset
    return preset.internal_load_balancer if options.pool.exposure.internal else preset.load_balancer


def _ingress(options: Options) -> Manifest:
    names, wanted = Names.of(options), options.pool.exposure
    backend = {"service": {"name": names.service, "port": {"number": service_port(options)}}}
    rule = {"host": wanted.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    spec: dict[str, Any] = {
        **({"ingressClassName": wanted.class_name} if wanted.class_name else {}),
        "tls": [{"hosts": [wanted.host], "secretName": wanted.tls_secret}],
        "rules": [rule],
    }
    return manifest(
        options,
        "networking.k8s.io/v1",
        "Ingress",
        names.service,
        FRONT_DOOR,
        annotations=dict(wanted.annotations),
        spec=spec,
    )


def _routes_grpc(options: Options) -> bool:
    return options.triton and options.pool.exposure.kind == "gateway"


def _http_route(options: Options) -> Manifest:
    names, wanted = Names.of(options), options.pool.exposure
    parent = wanted.gateway.model_dump(by_alias=True, exclude_none=True) if wanted.gateway else {}
    rules: list[dict[str, Any]] = [{"backendRefs": [{"name": names.service, "port": service_port(options)}]}]
    if _routes_grpc(options):
        match = {"path": {"type": "PathPrefix", "value": f"/{GRPC_SERVICE}"}}
        rules.append({"matches": [match], "backendRefs": [{"name": names.service, "port": TRITON_GRPC_PORT}]})
    spec = {"parentRefs": [parent], "hostnames": [wanted.host], "rules": rules}
    return manifest(
        options,
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        names.service,
        FRONT_DOOR,
        annotations=dict(wanted.annotations),
        spec=spec,
    )
