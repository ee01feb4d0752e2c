"""The front door's listener: HTTP/1.1 and HTTP/2 with keys, limits, an access log and JSON errors."""

from __future__ import annotations

from typing import Any

from gateway.access_log import access_log, facts
from gateway.client_limits import limit_filters
from gateway.clusters import file_source, socket_address
from gateway.cors_filter import cors
from gateway.door_metrics import door_metrics
from gateway.front_door_options import Options
from gateway.grants import grants_filters
from gateway.identities import FILTER_TYPE
from gateway.issuers import METADATA as TOKENS
from gateway.issuers import issuers, token_filter
from gateway.request_guard import GUARD, REFUSED, answers, guard
from gateway.routes import BODY_LIMIT, GUNZIP, RATE_LIMIT, ROUTES, seconds
from gateway.traces import tracing

FRONT_DOOR = "front_door"
KEYS = "keys"
KEYS_FILE = "keys.json"
TLS_FILE = "tls.json"
CERTIFICATE = "front_door"
INVALID_TOKEN = 'Bearer realm="service", error="invalid_token"'
NO_CLIENTS_CLAIMS = "its claims are those of no client"
TOLD = ("Jwt is expired", "Jwt not yet valid", "Jwt verification fails", "Jwt payload", "Audiences in Jwt", "Jwks ")
"""How those reasons of Envoy's begin that help a client. Of no token, or another issuer's, it has nothing useful."""
HOW_TO_SEND_THE_KEY = "the key or token is missing or wrong; send yours as 'Authorization: Bearer <key>'"
HOW_TO_PROVE = "the key, token or certificate is missing or wrong; send a key or token as 'Authorization: Bearer <key>'"

CONNECTION_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_FIRST_BYTES = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
SILENT_SECONDS = 10
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


def front_door(options: Options) -> dict[str, Any]:
    """Make the `Listener` that clients connect to."""
    chain: dict[str, Any] = {
        "filters": [
            {
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": _connection_manager(options),
            }
        ]
    }
    if options.tls is not None:
        chain["transport_socket"] = _tls(options)
        chain["transport_socket_connect_timeout"] = f"{SILENT_SECONDS}s"
    return {
        "name": FRONT_DOOR,
        "address": socket_address(options.listen),
        # How much Envoy reads at once. A packed body thus unpacks to 32 MiB at most before Envoy checks its limit.
        "per_connection_buffer_limit_bytes": 32 * 1024,
        # The filter waits for the first bytes, so the listener can close connections that send none. Among the filters
        # that read them, this one is fit for untrusted clients; connections without TLS pass it.
        "listener_filters": [{"name": "first_bytes", "typed_config": {"@type": _FIRST_BYTES}}],
        "listener_filters_timeout": f"{SILENT_SECONDS}s",
        # With SO_REUSEPORT a second Envoy of the same user would silently share the port; without it, it is refused.
        "enable_reuse_port": False,
        # Few long-lived connections (gRPC) must not all land on one worker thread.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [chain],
    }


def _connection_manager(options: Options) -> dict[str, Any]:
    return {
        "@type": CONNECTION_MANAGER,
        "stat_prefix": FRONT_DOOR,
        "rds": {"route_config_name": ROUTES, "config_source": file_source(options.directory, "routes.json")},
        "http_filters": _http_filters(options),
        "local_reply_config": _local_replies(options),
        "access_log": [*access_log(options), *door_metrics(options)],
        **({"tracing": tracing(options.traces)} if options.traces is not None else {}),
        # Clients are untrusted: Envoy drops their x-envoy-* headers (retries, timeouts) and records their address.
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # otherwise Envoy changes a digit of the ids that clients send
            }
        },
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": seconds(options.timeout_seconds + 5),
        "common_http_protocol_options": {"idle_timeout": seconds(options.idle_seconds)},
        "http2_protocol_options": {"max_concurrent_streams": 1024},
    }


def _http_filters(options: Options) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = facts(options)
    if options.health_path is not None:
        # Before the keys. It fails once Envoy was told to fail its health check, so that load balancers leave first.
        path = {"name": ":path", "string_match": {"exact": options.health_path}}
        filters.append(
            {
                "name": "envoy.filters.http.health_check",
                "typed_config": {
                    "@type": f"{_FILTERS}.health_check.v3.HealthCheck",
                    "pass_through_mode": False,
                    "headers": [path],
                },
            }
        )
    if options.cors_origins:
        filters.append(cors())
    if known := issuers(options.clients):
        filters.append(token_filter(known))
    if options.auth_enabled:
        # Envoy discovers the keys: a rotated key replaces this filter's configuration and touches no connection.
        # The listener does not open before it has the first keys.
        filters.append(
            {
                "name": KEYS,
                "config_discovery": {
                    "config_source": file_source(options.secrets_directory, KEYS_FILE),
                    "type_urls": [FILTER_TYPE],
                },
            }
        )
        # Grants and limits are always there, and off where the routes give none: a client may come and go without a
        # new listener, which parts from its connections.
        filters += [*grants_filters(), *limit_filters(options.rate_limit_service)]
    if options.requests_per_second is not None:
        filters.append(
            {
                "name": RATE_LIMIT,
                "typed_config": {
                    "@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
                    "stat_prefix": FRONT_DOOR,
                },
            }
        )
    if options.upstreams.triton is not None:
        filters.append(_gunzip())  # before the limit, which then counts the unpacked bytes
    filters.append(
        {
            "name": BODY_LIMIT,
            "typed_config": {
                "@type": f"{_FILTERS}.body_size_limit.v3.BodySizeLimit",
                "max_request_bytes": options.max_request_bytes,
            },
        }
    )
    if options.upstreams.triton is not None:
        filters += [guard(options.max_request_bytes), answers()]
    filters.append(
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{_FILTERS}.router.v3.Router", "suppress_envoy_headers": True},
        }
    )
    return filters


def _gunzip() -> dict[str, Any]:
    """Make the filter that unpacks requests, on the routes that turn it on."""
    gzip = "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip"
    off = {"common_config": {"enabled": {"default_value": False, "runtime_key": "gunzip.responses"}}}
    return {
        "name": GUNZIP,
        "disabled": True,
        "typed_config": {
            "@type": f"{_FILTERS}.decompressor.v3.Decompressor",
            "decompressor_library": {
                "name": "gzip",
                # The limit of bodies stops zip bombs. By default Envoy takes zeros for one, which are ordinary data.
                "typed_config": {"@type": gzip, "window_bits": 15, "chunk_size": 65536, "max_inflate_ratio": 1032},
            },
            "request_direction_config": {"advertise_accept_encoding": False},
            "response_direction_config": off,
        },
    }


def _local_replies(options: Options) -> dict[str, Any]:
    """Give JSON bodies to the answers that Envoy gives itself; Envoy uses the first mapper that fits."""
    not_ready = "the service is not ready: no model server answers; try again in a few seconds"
    unknown = HOW_TO_PROVE if options.client_authority else HOW_TO_SEND_THE_KEY
    mappers = [
        *([] if options.health_path is None else _health_replies()),
        {"filter": _refused_by_the_guard()},
        *_refused_tokens(options),
        _unauthorized(_both(_status(403), _sent_a_token()), INVALID_TOKEN, unknown),
        _unauthorized(_status(403), 'Bearer realm="service"', unknown),
        _mapper(_status(429), "too many requests; slow down and try again", {"Retry-After": "1"}),
        _mapper(_status(413), f"the request body is larger than the limit of {options.max_request_bytes} bytes"),
        _mapper(_flags("UO"), "the service is overloaded; try again in a few seconds", {"Retry-After": "1"}),
        _mapper(_flags("UH", "UF", "NC"), not_ready, {"Retry-After": "1"}),
        _mapper(_flags("UC", "UR", "UPE"), "the model server closed the connection before it answered"),
        _mapper(_status(504), f"no answer within the limit of {options.timeout_seconds:g} seconds"),
        _mapper(_status(408), "the request did not arrive completely; the connection was silent for too long"),
        _mapper(_status(500), "the front door is not ready: %RESPONSE_CODE_DETAILS%"),
        _mapper(_status(400), "bad request: %RESPONSE_CODE_DETAILS%"),
    ]
    return {"mappers": mappers, "body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}}


def _health_replies() -> list[dict[str, Any]]:
    ready = {"filter": _status(200), "body_format_override": {"json_format": {"status": "ready"}}}
    return [_mapper(_flags("LH"), "the front door is closing"), ready]


def _mapper(match: dict[str, Any], error: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    mapper: dict[str, Any] = {"filter": match, "body_format_override": {"json_format": {"error": error}}}
    if headers:
        mapper["headers_to_add"] = [{"header": {"key": key, "value": value}} for key, value in headers.items()]
    return mapper


def _refused_tokens(options: Options) -> list[dict[str, Any]]:
    """Say why a known issuer's token is refused: it is valid, but its claims are no client's; or Envoy's words."""
    known = issuers(options.clients)
    reasons: list[tuple[list[str], dict[str, Any], str]]
    reasons = [([issuer.name, "iss"], {"present_match": True}, NO_CLIENTS_CLAIMS) for issuer in known]
    told = {"or_match": {"value_matchers": [{"string_match": {"prefix": words}} for words in TOLD]}}
    for issuer in known:
        reasons.append(([issuer.refusal, "message"], told, f"%DYNAMIC_METADATA({TOKENS}:{issuer.refusal}:message)%"))
    return [
        _unauthorized(
            _both(_status(403), _metadata(TOKENS, path, value)),
            f'{INVALID_TOKEN}, error_description="{reason}"',
            f"the token is refused: {reason}",
        )
        for path, value, reason in reasons
    ]


def _unauthorized(match: dict[str, Any], challenge: str, error: str) -> dict[str, Any]:
    return {**_mapper(match, error, {"WWW-Authenticate": challenge}), "status_code": 401}


def _both(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": list(filters)}}


def _sent_a_token() -> dict[str, Any]:
    """Match a request with a token: RFC 6750 wants the reason of a refusal told to such a client alone."""
    token = {"safe_regex": {"regex": "(?i:bearer) .*"}}
    return {"header_filter": {"header": {"name": "authorization", "string_match": token}}}


def _status(code: int) -> dict[str, Any]:
    # Envoy demands a runtime key here; nothing sets it.
    value = {"default_value": code, "runtime_key": f"local_reply.{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _refused_by_the_guard() -> dict[str, Any]:
    return _metadata(GUARD, [REFUSED], {"bool_match": True})


def _metadata(namespace: str, path: list[str], value: dict[str, Any]) -> dict[str, Any]:
    matcher = {"filter": namespace, "path": [{"key": key} for key in path], "value": value}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


def _flags(*flags: str) -> dict[str, Any]:
    return {"response_flag_filter": {"flags": list(flags)}}


def _tls(options: Options) -> dict[str, Any]:
    authority = options.client_authority
    # Nobody must show a certificate here: the filter of `identities` asks for one where a client needs one.
    asked = {"validation_context": {"trusted_ca": {"inline_string": authority}}} if authority else {}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": False,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [
                    {"name": CERTIFICATE, "sds_config": file_source(options.directory, TLS_FILE)}
                ],
                **asked,
            },
        },
    }


def certificate(options: Options) -> dict[str, Any]:
    """Make the SDS `Secret` that names the files of the certificate and its key."""
    assert options.tls is not None
    return {
        "name": CERTIFICATE,
        "tls_certificate": {
            "certificate_chain": {"filename": options.tls.certificate},
            "private_key": {"filename": options.tls.key},
            "watched_directory": {"path": options.tls.folder},
        },
    }
