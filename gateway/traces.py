"""Envoy's part of traces: it decides which requests have one, makes the first span, and sends its spans away.

    request ─► Envoy: a trace? ─┬─ yes ─► `traceparent` ...-01 ─► scorer, Triton: their spans
                                └─ no ──► `traceparent` ...-00 ─► scorer; none ─► Triton

Triton makes spans for each request with a `traceparent`, whatever its sampled flag says. So Envoy takes the header of
a request without a trace away on its way to Triton.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from gateway.otel_variables import MILLION, Traces
from gateway.outside_cluster import outside_cluster
from gateway.verified_tls import verified_tls

COLLECTOR = "collector"
"""The cluster of the server that spans go to."""
TRACED = frozenset(("score", "infer", "generate", "generate_stream", "grpc_infer", "grpc_stream_infer"))
"""The routes whose requests may have a trace: those of inference."""


_EXPORT_SECONDS = 5
_EXPORTS = 32
# What Envoy itself writes into a request with a trace.
_SAMPLED = "00-[0-9a-f]{32}-[0-9a-f]{16}-01"

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_TRACERS = f"{_EXTENSIONS}.tracers.opentelemetry"


def tracing(traces: Traces) -> dict[str, Any]:
    """Make the tracing of the front door's connection manager."""
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "http_service": {
                    "http_uri": {"uri": traces.url, "cluster": COLLECTOR, "timeout": f"{_EXPORT_SECONDS}s"}
                },
                "service_name": traces.name_of("door"),
                **({"resource_detectors": [_resource(traces)]} if traces.attributes else {}),
                "sampler": _sampler(traces),
            },
        },
        # By default a span has the query string, which may be a script's input. Each such tag costs every request, with
        # a trace or without: client and generation are in the access log, beside the trace id.
        "custom_tags": [{"tag": "http.url", "value": "%PATH(NQ:PATH):512%"}],
    }


def trace_inference(routes: list[dict[str, Any]]) -> None:
    """Name the spans of inference after their routes; requests of others have none: health, metadata, unknown paths."""
    for route in routes:
        if route.get("name") in TRACED:
            route["decorator"] = {"operation": route["name"], "propagate": False}
        else:
            route["tracing"] = {"overall_sampling": {"numerator": 0}}


def collector_cluster(traces: Traces, roots: str) -> dict[str, Any]:
    """Make the cluster of the collector. Spans that it does not take in time are lost; no request waits for it.

    Args:
        traces: Where spans go.
        roots: The file of the certificates that Envoy's machine trusts.
    """
    parts = urlsplit(traces.url)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    limits = {"max_connections": _EXPORTS, "max_pending_requests": _EXPORTS, "max_requests": _EXPORTS}
    return {
        **outside_cluster(COLLECTOR, host, port, _EXPORT_SECONDS),
        "circuit_breakers": {"thresholds": [limits]},
        **({"transport_socket": verified_tls(host, {"filename": traces.roots or roots})} if is_secure else {}),
    }


def only_with_a_trace() -> list[dict[str, Any]]:
    """Make the filters of a cluster of Triton: a request without a trace keeps no `traceparent`."""
    matched = {
        "single_predicate": {
            "input": {
                "name": "traceparent",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                    "header_name": "traceparent",
                },
            },
            "value_match": {"safe_regex": {"google_re2": {}, "regex": _SAMPLED}},
        }
    }
    keep = {
        "name": "keep",
        "typed_config": {"@type": f"{_EXTENSIONS}.filters.common.matcher.action.v3.SkipFilter"},
    }
    removed = [{"remove": "traceparent"}, {"remove": "tracestate"}]
    mutation = {
        "name": "remove",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": removed},
        },
    }
    matcher = {
        "name": "only_with_a_trace",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.common.matching.v3.ExtensionWithMatcher",
            "xds_matcher": {
                "matcher_list": {"matchers": [{"predicate": matched, "on_match": {"action": keep}}]},
            },
            "extension_config": mutation,
        },
    }
    codec = {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.upstream_codec.v3.UpstreamCodec"},
    }
    return [matcher, codec]


def _resource(traces: Traces) -> dict[str, Any]:
    return {
        "name": "envoy.tracers.opentelemetry.resource_detectors.static_config",
        "typed_config": {
            "@type": f"{_TRACERS}.resource_detectors.v3.StaticConfigResourceDetectorConfig",
            "attributes": traces.attributes,
        },
    }


def _sampler(traces: Traces) -> dict[str, Any]:
    # Of a million, where all are meant, Envoy's ratio would leave some out.
    if traces.millionth == MILLION:
        sampler = _named_sampler("always_on", "AlwaysOnSamplerConfig", {})
    else:
        share = {"sampling_percentage": {"numerator": traces.millionth, "denominator": "MILLION"}}
        sampler = _named_sampler("trace_id_ratio_based", "TraceIdRatioBasedSamplerConfig", share)
    if not traces.follows_client:
        return sampler
    return _named_sampler("parent_based", "ParentBasedSamplerConfig", {"wrapped_sampler": sampler})


def _named_sampler(name: str, message: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"envoy.tracers.opentelemetry.samplers.{name}",
        "typed_config": {"@type": f"{_TRACERS}.samplers.v3.{message}", **fields},
    }
