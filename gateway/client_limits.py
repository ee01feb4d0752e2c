"""How much each client may ask for: requests a second, and requests at once.

Each Envoy counts for itself; requests a second that it lets through are counted over all Envoys too, where the user has
a `rate_limit_service`.

The rate is a token bucket of Envoy's filter `local_ratelimit`. For requests at once Envoy has no plain filter:
`adaptive_concurrency`, whose least and whose highest limit are the same, is one. Envoy finds both in hash tables by the
client's name. The limits come with the routes, so a change of them touches no connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.clients import DEFAULT, NAME, NAME_HEADER, NAME_METADATA, Client, header_input
from gateway.rate_limit_service import RateLimitService, rate_limit

RATE = "client_rate"
NAMED = "client_name"
RATE_OF_ALL = "client_rate_of_all_doors"
CONCURRENCY = "client_concurrency"
_NO_LIMIT = 2**32 - 1
_BURST = 4
"""A client may use up a fourth of a second's requests at once: over ten seconds it stays within 5 % of its rate."""
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_FILTER_ON = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
_MATCHING = "type.googleapis.com/envoy.extensions.common.matching.v3"
_NAMESPACE, _KEY = NAME_METADATA
_BY_CLIENT = {
    "actions": [
        {
            "metadata": {
                "descriptor_key": "client",
                "metadata_key": {"key": _NAMESPACE, "path": [{"key": _KEY}]},
            }
        }
    ]
}
"""Envoy's `RateLimit` whose descriptor is the client's name."""


def limit_filters(service: RateLimitService | None) -> list[dict[str, Any]]:
    """Make the filters that count requests, where the routes give them limits."""
    return [
        _off(RATE, _rate()),
        _off(NAMED, _named()),
        *([] if service is None else [_off(RATE_OF_ALL, _rate_of_all(service))]),
        _off(CONCURRENCY, _concurrency({"": _no_filter()})),
    ]


def limits(clients: Sequence[Client], service: RateLimitService | None) -> dict[str, dict[str, Any]]:
    """Make the limits that all inference routes share, as settings of the filters that clients with a limit need."""
    rates = {client.name: client.requests_per_second for client in clients if client.requests_per_second is not None}
    at_once = {client.name: _at_once(client.max_concurrent) for client in clients if client.max_concurrent is not None}
    found: dict[str, dict[str, Any]] = {}
    if rates:
        found[RATE] = _rate() | _rates(rates)
    if rates and service is not None:
        unlimited = [DEFAULT, *(client.name for client in clients if client.name not in rates)]
        found[RATE_OF_ALL] = _for_names({name: _no_filter() for name in unlimited})
    if at_once:
        found[CONCURRENCY] = _for_names(at_once)
    if not found.keys().isdisjoint((RATE_OF_ALL, CONCURRENCY)):
        found[NAMED] = _FILTER_ON
    return found


def _off(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "disabled": True, "typed_config": config}


def _rate() -> dict[str, Any]:
    return {"@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit", "stat_prefix": RATE}


def _rates(rates: Mapping[str, int]) -> dict[str, Any]:
    return {
        "token_bucket": _bucket(_NO_LIMIT, _NO_LIMIT),  # of the clients without a limit
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
        "rate_limited_as_resource_exhausted": True,
        "rate_limits": [_BY_CLIENT],
        "descriptors": [
            {
                "entries": [{"key": "client", "value": client}],
                "token_bucket": _bucket(max(1, rate // _BURST), rate),
            }
            for client, rate in rates.items()
        ],
    }


def _rate_of_all(service: RateLimitService) -> dict[str, Any]:
    """Make the filter that asks the service; the routes name the clients for which it does not."""
    return {
        "@type": f"{_MATCHING}.ExtensionWithMatcher",
        "extension_config": {"name": RATE_OF_ALL, "typed_config": rate_limit(service, [_BY_CLIENT])},
        "xds_matcher": {"matcher_tree": _by_name({"": _no_filter()})},
    }


def _named() -> dict[str, Any]:
    """Make the filter that writes the client's name where the matchers of the next ones find it.

    The route writes it anew for servers: this filter is none of those that Envoy's security policy covers.
    """
    name = {"header": {"key": NAME_HEADER, "value": NAME}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "@type": f"{_FILTERS}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [{"remove": NAME_HEADER}, {"append": name}]},
    }


def _concurrency(actions: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    composite = {"name": "by_client", "typed_config": {"@type": f"{_FILTERS}.composite.v3.Composite"}}
    return {
        "@type": f"{_MATCHING}.ExtensionWithMatcher",
        "extension_config": composite,
        "xds_matcher": {"matcher_tree": _by_name(actions)},
    }


def _bucket(most: int, per_second: int) -> dict[str, Any]:
    return {"max_tokens": most, "tokens_per_fill": per_second, "fill_interval": "1s"}


def _for_names(actions: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Make the setting of a route that says what a filter does for which client."""
    return {"@type": f"{_MATCHING}.ExtensionWithMatcherPerRoute", "xds_matcher": {"matcher_tree": _by_name(actions)}}


def _by_name(actions: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {"input": header_input(NAME_HEADER), "exact_match_map": {"map": actions}}


def _no_filter() -> dict[str, Any]:
    skip = "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
    return {"action": {"name": "none", "typed_config": {"@type": skip}}}


def _at_once(most: int) -> dict[str, Any]:
    """Make the action that counts the requests of one client.

    The controller's measurements decide nothing: a fixed round-trip time and two equal bounds leave one limit.
    """
    controller = {
        "sample_aggregate_percentile": {"value": 50},
        "concurrency_limit_params": {"max_concurrency_limit": most, "concurrency_update_interval": "3600s"},
        "min_rtt_calc_params": {"fixed_value": "1s", "min_concurrency": most},
    }
    limit = {
        "@type": f"{_FILTERS}.adaptive_concurrency.v3.AdaptiveConcurrency",
        "gradient_controller_config": controller,
        "concurrency_limit_exceeded_status": {"code": "TooManyRequests"},
    }
    execute = {
        "@type": f"{_FILTERS}.composite.v3.ExecuteFilterAction",
        "typed_config": {"name": CONCURRENCY, "typed_config": limit},
    }
    return {"action": {"name": "limit", "typed_config": execute}}
