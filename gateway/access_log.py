"""The access log: one line of JSON for each request at the front door.

    request ──► filters (trace id; model, version) ──► keys (client) ──► ... ──► server (generation)
                                                                                              │
                        a line of `AccessLine`, by Envoy's command operators ◄────────────────┘

`AccessLine` is the only source: Envoy's format, the JSON Schema and the table in `docs/logs.md` come from it. A line
holds no body, no query string and no header but the request's id and trace id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt
from pydantic.alias_generators import to_camel

from gateway.clients import NAME, NAME_METADATA
from gateway.front_door_options import Options
from gateway.grants import DETAILS, GRANTS

FACTS = "access_log"
MODEL = "access_log_model"
ENDPOINT = "service"
GENERATION = "generation"
_DECISION = "enforced_engine_result"  # beside the client's name in Envoy's metadata

_HEADERS_TO_METADATA = "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config"
_STDOUT = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"

# A call that is refused for its messages has an answer of Triton's, which a script replaces.
_REPLACED = {"command": "DYNAMIC_METADATA", "param": f"{GRANTS}:{DETAILS}"}
_REASON = f"%COALESCE({json.dumps({'operators': [_REPLACED, 'RESPONSE_CODE_DETAILS']})})%"

# Envoy leaves an empty value out, and takes a header that does not fit as it is. So each pattern fits every value that
# it meets: those of the model fit every path that has a route of a model, and need no step back; that of the trace has
# a last branch for all others. Envoy bounds what a pattern may compile to: this one does not check what follows the id.
_MODEL = r"^/v2/models/([^/?]+)(?:[/?].*)?$"
_VERSION = r"^/v2/models/[^/?]+(?:/(?:versions/([0-9]+)(?:[/?].*)?|[^v?].*)|\?.*)?$"
_TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-.*$|^.*$"


@dataclass(frozen=True)
class Operator:
    """Envoy's command operator that gives a field its value."""

    text: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True)


Microseconds = NonNegativeInt | None


class Durations(_Line):
    """How long a request took, by stage. `door`, `upstream` and `answer` follow each other."""

    total: Annotated[Microseconds, Operator("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%")] = Field(
        description="from the request's first byte to the answer's last; null where no whole answer was sent"
    )
    request: Annotated[Microseconds, Operator("%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%")] = Field(
        description="until the request's last byte came from the client"
    )
    door: Annotated[Microseconds, Operator("%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%")] = Field(
        description="until the front door sent the request's first byte on: its checks, and the wait for a body that "
        "it checks whole"
    )
    upstream: Annotated[Microseconds, Operator("%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%")] = Field(
        description="from then to the first byte of the server's answer: its queue and its computation"
    )
    answer: Annotated[Microseconds, Operator("%COMMON_DURATION(US_RX_BEG:DS_TX_END:us)%")] = Field(
        description="from then to the last byte that went to the client"
    )


class AccessLine(_Line):
    """One request at the front door."""

    time: Annotated[datetime, Operator("%START_TIME%")] = Field(description="when the request began, UTC")
    client: Annotated[str, Operator(NAME)] = Field(
        description="the client's name: `default` for the service's own two keys; empty where the front door knows "
        "nobody: it refused the request (401), read no request (400, 426, 431), or asks for no key "
        "(`authEnabled: false`)"
    )
    address: Annotated[str | None, Operator("%DOWNSTREAM_REMOTE_ADDRESS%")] = Field(
        description="the address that connected: the client's, or a load balancer's"
    )
    protocol: Annotated[str | None, Operator("%PROTOCOL%")] = Field(description="`HTTP/1.1` or `HTTP/2`")
    method: Annotated[str | None, Operator("%REQUEST_HEADER(:METHOD):32%")] = Field(
        max_length=32, description="null where the request was no HTTP"
    )
    path: Annotated[str | None, Operator("%PATH(NQ:PATH):512%")] = Field(
        max_length=512, description="without the query string, cut off after 512 bytes; for gRPC the service and method"
    )
    route: Annotated[str | None, Operator("%ROUTE_NAME%")] = Field(
        description="the front door's name for the kind of request: `infer`, `score`, `grpc_infer`, `not_served`, ..."
    )
    model: Annotated[str | None, Operator(f"%DYNAMIC_METADATA({FACTS}:model):128%")] = Field(
        max_length=128,
        description="as the path names it; null for `/score` and gRPC, whose paths name none, and for paths not served",
    )
    version: Annotated[str | None, Operator(f"%DYNAMIC_METADATA({FACTS}:version):32%")] = Field(
        max_length=32, description="the model's version, where the path names one"
    )
    generation: Annotated[str | None, Operator(f"%UPSTREAM_METADATA({ENDPOINT}:{GENERATION})%")] = Field(
        description="that of the server in `upstream`; null on a node pool, where `upstream` is the pod's address"
    )
    cluster: Annotated[str | None, Operator("%UPSTREAM_CLUSTER_RAW%")] = Field(
        description="the kind of server to which the route leads: `triton`, `triton_grpc`, `scorer`, ...; those of a "
        "candidate end in `-candidate`, all others are the serving generation's"
    )
    upstream: Annotated[str | None, Operator("%UPSTREAM_HOST%")] = Field(
        description="the address of the server that was tried last, also where it did not answer; null where none was"
    )
    attempts: Annotated[NonNegativeInt | None, Operator("%UPSTREAM_REQUEST_ATTEMPT_COUNT%")] = Field(
        description="how many times it was sent: again only where the server cannot have seen it"
    )
    status: Annotated[NonNegativeInt, Operator("%RESPONSE_CODE%")] = Field(
        description="of HTTP; 0 where the client went before it got one"
    )
    grpc_status: Annotated[str | None, Operator("%GRPC_STATUS(SNAKE_STRING)%")] = Field(
        description="`OK`, `UNAVAILABLE`, ...; null for other requests than gRPC"
    )
    flags: Annotated[str, Operator("%RESPONSE_FLAGS%")] = Field(
        description="Envoy's response flags, what went wrong: `UF`, `DC`, `RL`, ...; `-` where nothing did"
    )
    reason: Annotated[str | None, Operator(_REASON)] = Field(
        description="who gave the answer and why, in Envoy's words: `via_upstream`, `rbac_access_denied...`, ..."
    )
    bytes_in: Annotated[NonNegativeInt, Operator("%BYTES_RECEIVED%")] = Field(description="of the request's body")
    bytes_out: Annotated[NonNegativeInt, Operator("%BYTES_SENT%")] = Field(description="of the answer's body")
    duration_ms: Annotated[NonNegativeInt, Operator("%DURATION%")] = Field(
        description="until the request ended, also where it was broken off"
    )
    duration_us: Durations = Field(description="the same by stage, in microseconds; null where a stage was not reached")
    request_id: Annotated[str | None, Operator("%REQUEST_HEADER(X-REQUEST-ID):128%")] = Field(
        description="`x-request-id` as the client chose it, cut off after 128 bytes; otherwise the front door makes one"
    )
    trace_id: Annotated[str | None, Operator(f"%DYNAMIC_METADATA({FACTS}:traceId)%")] = Field(
        pattern="^[0-9a-f]{32}$",
        description="of the client's `traceparent`; null where it sent none. With [traces](traces.md) each request of "
        "every route has one",
    )


def access_log(options: Options) -> list[dict[str, Any]]:
    """Make the access log of the front door, to standard output; load balancers' health checks are left out.

    It is two loggers, each for its own requests: those of known clients, and the others. For these the filter of
    `identities` leaves no name, or one that is no client's.
    """
    if not options.access_log:
        return []
    fields = _format(AccessLine)
    if options.traces is not None:
        fields["traceId"] = "%TRACE_ID%"
    return [
        _log(options, _identified("allowed", otherwise=False), fields),
        _log(options, _identified("denied", otherwise=True), fields | {"client": ""}),
    ]


def _log(options: Options, requests: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    if options.health_path is not None:
        requests = {"and_filter": {"filters": [{"not_health_check_filter": {}}, requests]}}
    log = {"@type": _STDOUT, "log_format": {"json_format": fields}}
    return {"name": "envoy.access_loggers.stdout", "filter": requests, "typed_config": log}


def _identified(result: str, *, otherwise: bool) -> dict[str, Any]:
    """Match requests by what the filter of `identities` decided; `otherwise` is for those that it never saw."""
    namespace, _ = NAME_METADATA
    decision = {"filter": namespace, "path": [{"key": _DECISION}], "value": {"string_match": {"exact": result}}}
    return {"metadata_filter": {"matcher": decision, "match_if_key_not_found": otherwise}}


def facts(options: Options) -> list[dict[str, Any]]:
    """Make the HTTP filters that read a line's trace id, model and version; they come before every one that refuses.

    The one of the model acts only on routes that turn `MODEL` on.
    """
    if not options.access_log:
        return []
    model = [_rule(":path", "model", _MODEL), _rule(":path", "version", _VERSION)]
    filters = [
        {"name": MODEL, "disabled": True, "typed_config": {"@type": _HEADERS_TO_METADATA, "request_rules": model}}
    ]
    if options.traces is None:  # otherwise Envoy's tracer knows it
        trace = [_rule("traceparent", "traceId", _TRACEPARENT)]
        filters.insert(0, {"name": FACTS, "typed_config": {"@type": _HEADERS_TO_METADATA, "request_rules": trace}})
    return filters


def generation(number: str) -> dict[str, Any]:
    """Make the metadata of a server's endpoint, from which a line has its generation."""
    return {"filter_metadata": {ENDPOINT: {GENERATION: number}}}


def _rule(header: str, fact: str, pattern: str) -> dict[str, Any]:
    rewrite = {"pattern": {"regex": pattern}, "substitution": r"\1"}
    return {
        "header": header,
        "on_header_present": {"metadata_namespace": FACTS, "key": fact, "regex_value_rewrite": rewrite},
    }


def _format(line: type[_Line]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in line.model_fields.values():
        operator = next((found for found in field.metadata if isinstance(found, Operator)), None)
        fields[str(field.alias)] = _format(Durations) if operator is None else operator.text
    return fields
