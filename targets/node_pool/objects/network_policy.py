"""Who may connect: clients to Envoy, only Envoy to the replicas, and the monitoring namespace to the metrics."""

from typing import Any

from environment.image_layout import RECORDER_PORT, SCORER_PORT, TRITON_GRPC_PORT, TRITON_HTTP_PORT, TRITON_METRICS_PORT
from targets.node_pool.object_names import (
    CANDIDATE,
    FRONT_DOOR,
    FRONT_DOOR_PORT,
    PROVER,
    REPLICA,
    STATISTICS_PORT,
    Names,
    manifest,
)
from targets.node_pool.rendering import Manifest, Options

__all__ = ["network_policies", "prover_policy", "replica_policy"]


def network_policies(options: Options) -> list[Manifest]:
    """Render a policy for the replicas and one for the front door; kubelets' probes are always let in."""
    front_door_rules = [_allow([FRONT_DOOR_PORT]), _allow([STATISTICS_PORT], _monitoring(options))]
    return [replica_policy(options, REPLICA), _policy(options, FRONT_DOOR, front_door_rules)]


def replica_policy(options: Options, component: str) -> Manifest:
    """Render the policy of the replicas, or of a candidate's."""
    names = Names.of(options)
    envoy = {"podSelector": {"matchLabels": names.selector(FRONT_DOOR)}}
    served = [TRITON_HTTP_PORT, TRITON_GRPC_PORT, TRITON_METRICS_PORT] if options.triton else []
    served += [SCORER_PORT] if options.scorer else []
    served += [RECORDER_PORT] if options.recorded_megabytes is not None else []
    replica_rules = [_allow(served, envoy)]
    # The scorer's metrics share their port with requests: it is open to nobody unless somebody is to scrape it.
    scraped = [TRITON_METRICS_PORT] * options.triton
    scraped += [SCORER_PORT] * (options.scorer and options.pool.monitoring.scrape is not None)
    if scraped:
        replica_rules.append(_allow(scraped, _monitoring(options)))
    return _policy(options, component, replica_rules)


def prover_policy(options: Options) -> Manifest:
    """Render what lets a prover in, to both generations and to Envoy's figures; policies add up."""
    names = Names.of(options)
    served = [TRITON_HTTP_PORT] * options.triton + [SCORER_PORT] * options.scorer
    spec = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/instance": names.service}},
        "policyTypes": ["Ingress"],
        "ingress": [_allow([*served, STATISTICS_PORT], {"podSelector": {"matchLabels": names.selector(PROVER)}})],
    }
    return manifest(options, "networking.k8s.io/v1", "NetworkPolicy", names.prover, CANDIDATE, spec=spec)


def _policy(options: Options, component: str, ingress: list[dict[str, Any]]) -> Manifest:
    name = Names.of(options).deployment(component)
    spec = {
        "podSelector": {"matchLabels": Names.of(options).selector(component)},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    return manifest(options, "networking.k8s.io/v1", "NetworkPolicy", name, component, spec=spec)


def _allow(ports: list[int], *peers: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port} for port in ports]}
    return {**rule, "from": list(peers)} if peers else rule


def _monitoring(options: Options) -> dict[str, Any]:
    namespace = {"kubernetes.io/metadata.name": options.pool.monitoring.namespace}
    return {"namespaceSelector": {"matchLabels": namespace}}
