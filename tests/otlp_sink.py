"""A collector of spans: a small server of OTLP over HTTP, which keeps what it gets, is down, or hangs."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.server
import re
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import eventually

_IDS = re.compile(rb'"(traceId|spanId|parentSpanId)":"([0-9a-f]*)"')


@dataclass(frozen=True)
class Span:
    """A span as it came; times in nanoseconds."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    start: int
    end: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: dict[str, int]


@dataclass
class Sink:
    """What a running collector got."""

    url: str
    spans: list[Span] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    hangs: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def trace(self, trace: str, *names: str) -> dict[str, Span]:
        """Wait for a trace that has spans of all these names, and give its spans by name."""
        try:
            eventually(lambda: {*names} <= {span.name for span in self.of(trace)}, seconds=90)
        except AssertionError:
            found = ", ".join(f"{span.name} of {span.service}" for span in self.of(trace))
            raise AssertionError(f"expected the spans {', '.join(names)}; found {found or 'none'}") from None
        return {span.name: span for span in self.of(trace)}

    def of(self, trace: str) -> list[Span]:
        return [span for span in list(self.spans) if span.trace == trace]


def sampled() -> tuple[str, str, dict[str, str]]:
    """Make a client's own trace: its id, the id of the client's span, and the headers."""
    trace, span = uuid4().hex, uuid4().hex[:16]
    return trace, span, {"traceparent": f"00-{trace}-{span}-01"}


def check_times(spans: dict[str, Span], *pairs: tuple[str, str]) -> None:
    """Check that each span lies within its parent; clocks of several processes agree within a millisecond here.

    Triton's own span ends once it has seen its answer leave: who asked may have that already.
    """
    for child, parent in pairs:
        assert spans[child].parent == spans[parent].id, f"{child} hangs below another span than {parent}"
        end = spans[child].events.get("INFER_RESPONSE_COMPLETE", spans[child].end)
        assert spans[parent].start - 1e6 <= spans[child].start <= end <= spans[parent].end + 1e6


@contextlib.contextmanager
def collector(port: int = 0, host: str = "127.0.0.1", certified: Path | None = None) -> Iterator[Sink]:
    """Run a collector at an address of this machine; while `hangs` is set, it answers nobody.

    With a certificate, its key behind it, it speaks TLS.
    """
    released = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = _body(self)
            sink.asked += 1
            if sink.hangs.is_set() or released.is_set():  # a connection of before outlives the server
                released.wait()
                self.close_connection = True
                return
            sink.paths.add(self.path)
            sink.spans.extend(_spans(body, self.headers["Content-Type"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer((host, port), Handler) as server:
        scheme = "http"
        if certified is not None:
            context, scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "https"
            context.load_cert_chain(certified)
            # The handshake is the handler's: one that fails must not stop the server.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.daemon_threads = True
        server.block_on_close = False
        sink = Sink(f"{scheme}://{host}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            released.set()
            server.shutdown()


def _body(request: http.server.BaseHTTPRequestHandler) -> bytes:
    body = b""
    if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
        while size := int(request.rfile.readline(), 16):
            body += request.rfile.read(size)
            request.rfile.readline()
        request.rfile.readline()
    else:
        body = request.rfile.read(int(request.headers["Content-Length"]))
    return gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body


def _spans(body: bytes, content_type: str) -> Iterator[Span]:
    if "json" in content_type:
        # OTLP writes ids in hex, where protobuf's JSON has base64.
        body = _IDS.sub(lambda m: b'"%b":"%b"' % (m[1], base64.b64encode(bytes.fromhex(m[2].decode()))), body)
        message = json_format.Parse(body, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    else:
        message = ExportTraceServiceRequest.FromString(body)
    for resource in message.resource_spans:
        attributes = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    service=attributes["service.name"],
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=span.kind,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    status=span.status.code,
                    attributes=_attributes(span.attributes),
                    resource=attributes,
                    events={event.name: event.time_unix_nano for event in span.events},
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
