"""Alert rules for the Prometheus operator, on metrics that Triton and Envoy export."""

from targets.node_pool.object_names import FRONT_DOOR, REPLICA, Names, manifest
from targets.node_pool.objects.queries import (
    LIMITED,
    NOT_GRANTED,
    error_ratio,
    failure_ratio,
    queue_ms,
    ratio_of_clients,
    strangers,
)
from targets.node_pool.rendering import Manifest, Options

__all__ = ["alerts"]

_ERRORS = 0.05
_REFUSALS = 0.05
_STRANGERS = 0.1  # a second: one wrong key now and then is nobody's alarm


def alerts(options: Options) -> list[Manifest]:
    """Render a PrometheusRule; nothing where `nodePool.monitoring.alerts` is not set."""
    if not options.pool.monitoring.alerts:
        return []
    rules = [*_front_door_rules(options), *_client_rules(options), *(_triton_rules(options) if options.triton else [])]
    return [
        manifest(
            options,
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            Names.of(options).service,
            REPLICA,
            labels=options.pool.monitoring.labels,
            spec={"groups": [{"name": f"{options.settings.service_name}.rules", "rules": rules}]},
        )
    ]


def _front_door_rules(options: Options) -> list[Manifest]:
    names, service = Names.of(options), options.settings.service_name
    envoy = names.metrics_of(FRONT_DOOR)
    upstream = "triton" if options.triton else "scorer"
    rules = [
        _rule(
            options,
            "TritonServingFrontDoorDown",
            f"absent(envoy_server_live{{{envoy}}} == 1)",
            "5m",
            "critical",
            f"No Envoy of {service} answers Prometheus.",
        ),
        _rule(
            options,
            "TritonServingErrors",
            f"{error_ratio(envoy)} > {_ERRORS}",
            "5m",
            "critical",
            f"More than {_ERRORS:.0%} of the answers of {service} are 5xx.",
        ),
    ]
    if not options.sleeps:
        no_replica = f'max(envoy_cluster_membership_healthy{{{envoy},envoy_cluster_name="{upstream}"}}) == 0'
        rules.append(
            _rule(
                options,
                "TritonServingNoReplica",
                no_replica,
                "2m",
                "critical",
                f"{service} has no replica that passed its probe.",
            )
        )
    return rules


def _client_rules(options: Options) -> list[Manifest]:
    """Make the rules over who may ask, and how much; none where the service asks for no key."""
    if not options.settings.deployment.auth_enabled:
        return []
    envoy, service = Names.of(options).metrics_of(FRONT_DOOR), options.settings.service_name
    part = f"more than {_REFUSALS:.0%} of its requests"
    return [
        *([_issuers_rule(options)] if any(client.jwt for client in options.settings.clients) else []),
        _rule(
            options,
            "TritonServingUnknownClients",
            f"{strangers(envoy)} > {_STRANGERS}",
            "10m",
            "warning",
            f"{service} refuses more than {60 * _STRANGERS:g} requests a minute whose key, token or certificate it "
            "does not know (401).",
        ),
        _rule(
            options,
            "TritonServingNotGranted",
            f"{ratio_of_clients(envoy, NOT_GRANTED)} > {_REFUSALS}",
            "10m",
            "warning",
            f"Client {{{{ $labels.client }}}} of {service} gets 403 for {part}: the front door does not grant "
            "them, or the script refuses them.",
        ),
        _rule(
            options,
            "TritonServingQuota",
            f"{ratio_of_clients(envoy, LIMITED)} > {_REFUSALS}",
            "10m",
            "warning",
            f"Client {{{{ $labels.client }}}} of {service} gets 429 for {part}: they are above its limit or that "
            "of all clients, or the script's server is full.",
        ),
    ]


def _issuers_rule(options: Options) -> Manifest:
    envoy, service = Names.of(options).metrics_of(FRONT_DOOR), options.settings.service_name
    return _rule(
        options,
        "TritonServingIssuer",
        f"sum(increase(envoy_http_jwt_authn_jwks_fetch_failed{{{envoy}}}[5m])) > 0",
        "5m",
        "warning",
        f"An issuer of tokens gives the front door of {service} no keys: once it rotates them, its clients get 401.",
    )


def _triton_rules(options: Options) -> list[Manifest]:
    selector, service = Names.of(options).metrics_of(REPLICA), options.settings.service_name
    budget = 100 * options.limits.scoring_seconds  # in milliseconds
    return [
        _rule(
            options,
            "TritonServingModelFailures",
            f"{failure_ratio(selector)} > {_ERRORS}",
            "5m",
            "warning",
            f"Model {{{{ $labels.model }}}} of {service} fails more than {_ERRORS:.0%} of its requests.",
        ),
        _rule(
            options,
            "TritonServingQueue",
            f"{queue_ms(selector, 'pod')} > {budget:g}",
            "10m",
            "warning",
            f"Requests to {service} wait more than {budget:g} ms, a tenth of their timeout, in the queue of "
            "{{ $labels.pod }}.",
        ),
    ]


def _rule(options: Options, name: str, expression: str, lasting: str, severity: str, summary: str) -> Manifest:
    labels = {"severity": severity, "service": options.settings.service_name, "component": FRONT_DOOR}
    if name in ("TritonServingModelFailures", "TritonServingQueue"):
        labels["component"] = REPLICA
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": labels,
        "annotations": {"summary": summary},
    }
