"""The routes of the front door: a list of the paths that clients may ask for, and a 404 that names them.

Triton's APIs that change the server (model repository, shared memory, trace, logging) have no route. Model
configuration and statistics are read-only and have one: client tools such as perf_analyzer ask for them.
"""

from __future__ import annotations

from typing import Any

from gateway import access_log, client_limits, cors_filter, grants, request_guard, traces
from gateway.clients import NAME, NAME_HEADER, NAME_SPELLINGS
from gateway.front_door_options import MIRRORED, RECORDER, Options, candidate_cluster, mirror_cluster

ROUTES = "front_door"
BODY_LIMIT = "body_size_limit"
RATE_LIMIT = "local_ratelimit"
GUNZIP = "gunzip"

# A segment is one name as a client writes it: without a slash and without the characters at which some parsers cut
# (";", "?", "#"). The listener refuses escaped slashes.
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

_MILLION = 1_000_000
_CREDENTIALS = ("authorization", "proxy-authorization", "cookie")

_FILTER_OFF = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
_FILTER_ON = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}


def served(options: Options) -> str:
    """List the paths that the front door answers, in words, for people who asked for another path."""
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
    """Make the front door's `RouteConfiguration`, named `ROUTES`."""
    routes: list[dict[str, Any]] = cors_filter.preflights(
        options.cors_origins, next(iter(options.upstreams.by_cluster()))
    )
    if options.upstreams.scorer is not None:
        routes += _scorer_routes(options)
    if options.upstreams.triton is not None:
        if options.upstreams.scorer is None:
            health = _route(options, "health", {"path": "/"}, "triton_operations", "GET", "HEAD", limited=False)
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
    if options.traces is not None:
        traces.trace_inference(routes)
    filters: dict[str, Any] = {}
    host: dict[str, Any] = {
        "name": "service",
        "domains": ["*"],
        "routes": routes,
        "retry_policy": _retry_policy(),
        "typed_per_filter_config": filters,
        "request_headers_to_remove": [MIRRORED, *NAME_SPELLINGS],
    }
    if options.auth_enabled:
        host["request_headers_to_remove"].append("authorization")  # no server behind the front door sees a key
        host["request_headers_to_add"] = [{"header": {"key": NAME_HEADER, "value": NAME}}]
    granted = grants.granted(options.clients)
    filters |= granted | client_limits.limits(options.clients, options.rate_limit_service)
    routes[-1]["typed_per_filter_config"] = _uncounted(options)
    if granted:
        for route in routes:
            other = grants.GRANTS if "grpc" in route["match"] else grants.CALLS
            route.setdefault("typed_per_filter_config", {})[other] = _FILTER_OFF
    if options.requests_per_second is not None:
        filters[RATE_LIMIT] = rate_limit(options.requests_per_second)
    if options.cors_origins:
        filters[cors_filter.CORS] = cors_filter.policy(options.cors_origins)
        vary = {"header": {"key": "Vary", "value": "Origin"}, "append_action": "ADD_IF_ABSENT"}
        host["response_headers_to_add"] = [vary]
    return {"name": ROUTES, "virtual_hosts": [host]}


def rate_limit(requests_per_second: int) -> dict[str, Any]:
    """Make one token bucket that all inference routes share."""
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
    # The scorer itself refuses methods (405) and answers OPTIONS. Health has a cluster of its own with new connections:
    # a kept connection may lead to a busy worker.
    return [
        _route(options, "score", {"path": "/score"}, "scorer", streamed=True),
        _route(options, "swagger", {"path": "/swagger.json"}, "scorer_operations", "GET", "HEAD", limited=False),
        _route(options, "health", {"path": "/"}, "scorer_operations", "GET", "HEAD", limited=False),
    ]


def _triton_routes(options: Options) -> list[dict[str, Any]]:
    taken = {"string_match": {"safe_regex": {"regex": "(?i:gzip|identity)"}}}
    packed = {"name": "content-encoding", **taken, "invert_match": True}
    words = "the Content-Encoding is not taken here; send the body as it is, or with gzip"
    routes = [
        {
            "name": "content_encoding",
            "match": {**_regex(rf"{_MODEL}/(infer|generate|generate_stream)"), "headers": [packed]},
            "direct_response": {"status": 415, "body": {"inline_string": words}},
        },
        _route(
            options, "infer", _regex(rf"{_MODEL}/infer"), "triton", "POST", guarded=request_guard.INFER, recorded=True
        ),
        _route(
            options,
            "generate",
            _regex(rf"{_MODEL}/generate"),
            "triton",
            "POST",
            guarded=request_guard.GENERATE,
            recorded=True,
        ),
        _route(
            options,
            "generate_stream",
            _regex(rf"{_MODEL}/generate_stream"),
            "triton",
            "POST",
            guarded=request_guard.GENERATE,
            streamed=True,
        ),
        _route(options, "server", _regex("/v2(/health/(live|ready))?"), "triton_operations", "GET", limited=False),
        _route(
            options, "model", _regex(rf"{_MODEL}(/(ready|config|stats))?"), "triton_operations", "GET", limited=False
        ),
    ]
    for route in routes:
        _keep_from_forms(route)
        if options.access_log and "/v2/models/" in route["match"]["safe_regex"]["regex"]:
            route.setdefault("typed_per_filter_config", {})[access_log.MODEL] = _FILTER_ON
    return routes


def _keep_from_forms(route: dict[str, Any]) -> None:
    """Set the content type of requests to Triton: its HTTP library crashes when it parses a form.

    Triton itself does not read the content type.
    """
    content_type = {"header": {"key": "Content-Type", "value": "application/octet-stream"}}
    route["request_headers_to_add"] = [{**content_type, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def _grpc_routes(options: Options) -> list[dict[str, Any]]:
    def grpc(name: str, match: dict[str, Any], cluster: str = "triton_grpc", **kwargs: Any) -> dict[str, Any]:
        return _route(options, name, {**match, "grpc": {}}, cluster, "POST", **kwargs)

    def read(method: str) -> dict[str, Any]:
        path = {"path": f"/{GRPC_SERVICE}/{method}"}
        return grpc("grpc_read", path, "triton_grpc_operations", limited=False)

    # Only Triton could tell the unpacked size of a message, after it unpacked it: too late. gRPC clients see the 404 as
    # UNIMPLEMENTED.
    packed = {"name": "grpc-encoding", "string_match": {"exact": "identity"}, "invert_match": True}
    words = "compressed messages are not taken here; send them without compression"
    refused = {
        "name": "grpc_compressed",
        "match": {"prefix": f"/{GRPC_SERVICE}/", "grpc": {}, "headers": [packed]},
        "direct_response": {"status": 404, "body": {"inline_string": words}},
    }
    return [
        refused,
        grpc("grpc_infer", {"path": f"/{GRPC_SERVICE}/ModelInfer"}, recorded=True),
        grpc(
            "grpc_stream_infer",
            {"path": f"/{GRPC_SERVICE}/ModelStreamInfer"},
            streamed=True,
            endless=True,
            guarded=request_guard.MESSAGES,
        ),
        *map(read, _GRPC_READS),
    ]


def _route(
    options: Options,
    name: str,
    match: dict[str, Any],
    cluster: str,
    *methods: str,
    limited: bool = True,
    streamed: bool = False,
    endless: bool = False,
    guarded: str = "",
    recorded: bool = False,
) -> dict[str, Any]:
    """Make one route.

    Args:
        options: The options of the front door.
        name: The route's name in the access log.
        match: The path, and more, of the requests that take the route.
        cluster: The cluster that gets them.
        methods: The methods that the route takes; every method where none is given.
        limited: Whether the requests are inference: they count against the rate limit, and a candidate has its share.
        streamed: Whether the timeout bounds the silence between parts and not the whole answer.
        endless: Whether the request is a stream too, whose end nobody waits for.
        guarded: The guard's script that checks the bodies.
        recorded: Whether the recorder gets copies of a sample of the requests.
    """
    if methods:
        exact = {"exact": methods[0]} if len(methods) == 1 else {"safe_regex": {"regex": "|".join(methods)}}
        match = {**match, "headers": [{"name": ":method", "string_match": exact}]}
    timeout = options.timeout_seconds
    route: dict[str, Any] = {
        "name": name,
        "match": match,
        "route": {
            **(_shares(options, cluster, copied=not endless) if limited else {"cluster": cluster}),
            "timeout": "0s" if streamed else seconds(timeout),
            # Longer than the timeout, so that the timeout itself reports a slow upstream as 504.
            "idle_timeout": seconds(timeout if streamed else timeout + 5),
        },
    }
    if recorded and options.recorded and options.upstreams.recorder is not None:
        route["route"].setdefault("request_mirror_policies", []).append(_to_recorder(options))
    filters: dict[str, Any] = {}
    if not limited:
        filters |= _uncounted(options)
    if guarded:
        filters[request_guard.GUARD] = request_guard.guarded(guarded)
    if endless:
        filters[BODY_LIMIT] = _FILTER_OFF
    elif guarded:
        filters |= {GUNZIP: _FILTER_ON, request_guard.ANSWERS: _FILTER_ON}
        route["request_body_buffer_limit"] = options.max_request_bytes
    if filters:
        route["typed_per_filter_config"] = filters
    return route


def _uncounted(options: Options) -> dict[str, Any]:
    """Make the settings of a route whose requests no limit counts."""
    everybodys = {RATE_LIMIT} if options.requests_per_second is not None else set()
    clients = set(client_limits.limits(options.clients, options.rate_limit_service))
    return dict.fromkeys(everybodys | clients, _FILTER_OFF)


def _shares(options: Options, cluster: str, copied: bool) -> dict[str, Any]:
    """Name the clusters that get the requests of an inference route, and the one that gets copies.

    An endless stream is not copied. Its copy has no bound that Envoy could hold for a candidate that does not read, and
    Envoy would make the client wait.
    """
    candidate = options.candidate
    if candidate is None or not (candidate.weight or candidate.mirror):
        return {"cluster": cluster}
    if candidate.mirror and not copied:
        return {"cluster": cluster}
    if candidate.mirror:
        fraction = {"default_value": {"numerator": candidate.mirror, "denominator": "HUNDRED"}}
        mutation = {
            "append": {"header": {"key": MIRRORED, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        }
        copies = {
            "cluster": mirror_cluster(cluster),
            "runtime_fraction": fraction,
            "request_headers_mutations": [mutation],
            **_untraced(options),
        }
        return {"cluster": cluster, "request_mirror_policies": [copies]}
    if candidate.weight == 100:
        return {"cluster": candidate_cluster(cluster)}
    weights = {cluster: 100 - candidate.weight, candidate_cluster(cluster): candidate.weight}
    return {"weighted_clusters": {"clusters": [{"name": name, "weight": weight} for name, weight in weights.items()]}}


def _to_recorder(options: Options) -> dict[str, Any]:
    """Make the policy that sends the recorder copies, without what may prove who the client is."""
    numerator = max(1, round(options.recorded * _MILLION))
    return {
        "cluster": RECORDER,
        "runtime_fraction": {"default_value": {"numerator": numerator, "denominator": "MILLION"}},
        "request_headers_mutations": [{"remove": name} for name in _CREDENTIALS],
        **_untraced(options),
    }


def _untraced(options: Options) -> dict[str, Any]:
    """Leave copies out of the trace of their request: it tells where that one's time went."""
    return {} if options.traces is None else {"trace_sampled": False}


def _retry_policy() -> dict[str, Any]:
    """Retry only where the upstream cannot have seen the request: an inference must not run twice."""
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
    """Write a duration in the form of protobuf's JSON."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
