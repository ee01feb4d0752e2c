"""How much each client may ask for: requests a second, and requests at once. Each Envoy counts for itself.

The rate is a token bucket of Envoy's filter `local_ratelimit`. For requests at once Envoy has no plain filter:
`adaptive_concurrency`, whose least and whose highest limit are the same, is one. Envoy finds both in hash tables by the
client's name. The limits come with the routes, so a change of them touches no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.clients import NAME_HEADER, Client, header_input

RATE = "client_rate"
CONCURRENCY = "client_concurrency"
_NO_LIMIT = 2**32 - 1
_BURST = 4
"""A client may use up a fourth of a second's requests at once: over ten seconds it stays within 5 % of its rate."""
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_MATCHING = "type.googleapis.com/envoy.extensions.common.matching.v3"


def rate_filter() -> dict[str, Any]:
    """Make the filter that counts requests a second, where the routes give it limits."""
    config = {"@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit", "stat_prefix": RATE}
    return {"name": RATE, "disabled": True, "typed_config": config}


def rates(clients: Sequence[Client]) -> dict[str, Any] | None:
    """Make the buckets that all inference routes share; None where no client has one."""
    limits = {client.name: client.requests_per_second for client in clients if client.requests_per_second is not None}
    if not limits:
        return None
    named = {"request_headers": {"header_name": NAME_HEADER, "descriptor_key": "client"}}
    return {
        "@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": RATE,
        "token_bucket": _bucket(_NO_LIMIT, _NO_LIMIT),  # of the clients without a limit
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
        "rate_limited_as_resource_exhausted": True,
        "rate_limits": [{"actions": [named]}],
        "descriptors": [
            {
                "entries": [{"key": "client", "value": name}],
                "token_bucket": _bucket(max(1, rate // _BURST), rate),
            }
            for name, rate in limits.items()
        ],
    }


def concurrency_filter() -> dict[str, Any]:
    """Make the filter that counts requests at once, where the routes give it limits."""
    composite = {"name": "by_client", "typed_config": {"@type": f"{_FILTERS}.composite.v3.Composite"}}
    config = {
        "@type": f"{_MATCHING}.ExtensionWithMatcher",
        "extension_config": composite,
        "xds_matcher": {"matcher_tree": _by_name({"": _no_filter()})},
    }
    return {"name": CONCURRENCY, "disabled": True, "typed_config": config}


def concurrencies(clients: Sequence[Client]) -> dict[str, Any] | None:
    """Make the limits that all inference routes share; None where no client has one."""
    limits = {client.name: _at_once(client.max_concurrent) for client in clients if client.max_concurrent is not None}
    if not limits:
        return None
    return {
        "@type": f"{_MATCHING}.ExtensionWithMatcherPerRoute",
        "xds_matcher": {"matcher_tree": _by_name(limits)},
    }


def _bucket(most: int, per_second: int) -> dict[str, Any]:
    return {"max_tokens": most, "tokens_per_fill": per_second, "fill_interval": "1s"}


def _by_name(actions: dict[str, dict[str, Any]]) -> dict[str, Any]:
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
