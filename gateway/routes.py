"""Routes of the front door: an allow-list of what clients may ask, and a 404 that names it.

Triton's APIs that change the server (model repository, shared memory, trace, logging) have no route. Model
configuration and statistics are read-only and routed: client tools such as perf_analyzer ask for them.
"""

from __future__ import annotations

from typing import Any

from gateway.options import Options

ROUTES = "front_door"
BODY_LIMIT = "body_size_limit"
RATE_LIMIT = "local_ratelimit"

# A segment is one name as a client writes it: no slash, and nothing that some parsers cut off (";", "?", "#").
# Escaped slashes never get here: the listener refuses them.
_SEGMENT = r"[^/;?#\\]+"
_MODEL = rf"/v2/models/{_SEGMENT}(/versions/[0-9]+)?"

GRPC_SERVICE = "inference.GRPCInferenceService"
_GRPC_READS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
)

_FILTER_OFF = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}


def served(options: Options) -> str:
    """What the front door answers, in words, for people who asked for something else."""
    paths = [] if options.health_path is None else [f"{options.health_path} (health of the front door)"]
    if options.upstreams.scorer is not None:
        paths += ["/ (health)", "/score", "/swagger.json"]
    if options.upstreams.triton is not None:
        if options.upstreams.scorer is None:
            paths.append("GET / (health)")
        paths += [
            "GET /v2",
            "GET /v2/health/live|ready",
            "GET /v2/models/<model>[/versions/<version>][/ready|config|stats]",
            "POST /v2/models/<model>[/versions/<version>]/infer|generate|generate_stream",
            "gRPC inference.GRPCInferenceService (health, metadata, config, statistics, inference)",
        ]
    return ", ".join(paths)


def route_configuration(options: Options) -> dict[str, Any]:
    """The front door's `RouteConfiguration`, named `ROUTES`."""
    routes: list[dict[str, Any]] = []
    if options.upstreams.scorer is not None:
        routes += _scorer_routes(options)
    if options.upstreams.triton is not None:
        if options.upstreams.scorer is None:
            health = _route(options, "health", {"path": "/"}, "triton", "GET", "HEAD", limited=False)
            health["route"]["regex_rewrite"] = {
                "pattern": {"regex": "^/$"},
                "substitution": "/v2/health/ready",
            }
            routes.append(health)
        routes += _triton_routes(options) + _grpc_routes(options)
    routes.append(
        {
            "name": "not_served",
            "match": {"prefix": "/"},
            "direct_response": {
                "status": 404,
                "body": {
                    "inline_string": f"this path, or this method on it, is not served here; served: {served(options)}"
                },
            },
        }
    )
    host: dict[str, Any] = {"name": "service", "domains": ["*"], "routes": routes, "retry_policy": _retry_policy()}
    if options.requests_per_second is not None:
        host["typed_per_filter_config"] = {RATE_LIMIT: rate_limit(options.requests_per_second)}
        routes[-1]["typed_per_filter_config"] = {RATE_LIMIT: _FILTER_OFF}
    return {"name": ROUTES, "virtual_hosts": [host]}


def rate_limit(requests_per_second: int) -> dict[str, Any]:
    """One token bucket for all inference routes together."""
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "front_door",
        "token_bucket": {
            "max_tokens": requests_per_second,
            "tokens_per_fill": requests_per_second,
            "fill_interval": "1s",
        },
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
    }


def _scorer_routes(options: Options) -> list[dict[str, Any]]:
    # The entry script's server says itself which methods it takes (405, OPTIONS of a CORS preflight). Health has a
    # cluster of its own: a connection that is new goes to no worker, which might be busy.
    return [
        _route(options, "score", {"path": "/score"}, "scorer", streamed=True),
        _route(options, "swagger", {"path": "/swagger.json"}, "scorer", "GET", "HEAD", limited=False),
        _route(options, "health", {"path": "/"}, "scorer_operations", "GET", "HEAD", limited=False),
    ]


def _triton_routes(options: Options) -> list[dict[str, Any]]:
    stream = _route(options, "generate_stream", _regex(rf"{_MODEL}/generate_stream"), "triton", "POST", streamed=True)
    return [
        _route(options, "infer", _regex(rf"{_MODEL}/(infer|generate)"), "triton", "POST"),
        stream,
        _route(options, "server", _regex("/v2(/health/(live|ready))?"), "triton", "GET", limited=False),
        _route(options, "model", _regex(rf"{_MODEL}(/(ready|config|stats))?"), "triton", "GET", limited=False),
    ]


def _grpc_routes(options: Options) -> list[dict[str, Any]]:
    def grpc(name: str, match: dict[str, Any], **kwargs: bool) -> dict[str, Any]:
        return _route(options, name, {**match, "grpc": {}}, "triton_grpc", "POST", **kwargs)

    return [
        grpc("grpc_infer", {"path": f"/{GRPC_SERVICE}/ModelInfer"}),
        grpc("grpc_stream_infer", {"path": f"/{GRPC_SERVICE}/ModelStreamInfer"}, streamed=True),
        *(grpc("grpc_read", {"path": f"/{GRPC_SERVICE}/{method}"}, limited=False) for method in _GRPC_READS),
    ]


def _route(
    options: Options,
    name: str,
    match: dict[str, Any],
    cluster: str,
    *methods: str,
    limited: bool = True,
    streamed: bool = False,
) -> dict[str, Any]:
    """One route. `limited`: it counts against the rate limit. `streamed`: the timeout bounds silence, not the whole."""
    if methods:
        exact = {"exact": methods[0]} if len(methods) == 1 else {"safe_regex": {"regex": "|".join(methods)}}
        match = {**match, "headers": [{"name": ":method", "string_match": exact}]}
    timeout = options.timeout_seconds
    route: dict[str, Any] = {
        "name": name,
        "match": match,
        "route": {
            "cluster": cluster,
            "timeout": "0s" if streamed else seconds(timeout),
            # Longer than the timeout, so that a slow upstream is reported as 504 by the timeout itself.
            "idle_timeout": seconds(timeout if streamed else timeout + 5),
        },
    }
    off = []
    if not limited and options.requests_per_second is not None:
        off.append(RATE_LIMIT)
    if streamed and "grpc" in match and options.max_request_bytes is not None:
        off.append(BODY_LIMIT)  # a stream of requests has no end to measure
    if off:
        route["typed_per_filter_config"] = dict.fromkeys(off, _FILTER_OFF)
    return route


def _retry_policy() -> dict[str, Any]:
    """Retries only where the upstream cannot have seen the request: an inference must not run twice."""
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 3,
    }


def _regex(regex: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": regex}}


def seconds(value: float) -> str:
    """Protobuf's JSON form of a duration."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
