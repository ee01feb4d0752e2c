"""The spans of requests that the front door has chosen for a trace, by OpenTelemetry.

    traceparent ...-01 ─► POST /score ─┬─ queue              until run() has its turn
                                       └─ run ─┬─ infer      each call of Triton, whose own spans hang below it
                                               └─ ...        the spans of the script's own instrumentation

The front door decides: a request without a sampled `traceparent` has no span, here or in the script. No request waits
for the collector: spans wait in a bounded queue, and those that find no place are lost. The server imports this module
with TRACES_URL alone: OpenTelemetry's packages are there for services that have traces.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.script.call import Call

EXPORT_SECONDS = 5
"""How long the collector may take for a batch of spans; a worker that ends waits for its last one."""
_EVERY_MILLISECONDS = 2000
_QUEUE = 2048
_BATCH = 512
_CERTIFICATES = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE", "REQUESTS_CA_BUNDLE")
_SYSTEMS = "/etc/ssl/certs/ca-certificates.crt"
_SAMPLED = "1"  # the last digit of a `traceparent` as the front door writes it
_NO_CONTEXT = Context()
_PROPAGATOR = TraceContextTextMapPropagator()


class Spans:
    """Makes the spans of one worker's requests."""

    def __init__(self, url: str) -> None:
        """Prepare the export to `url`. The SDK reads the resource from OpenTelemetry's variables."""
        provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF))
        exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS, certificate_file=_trusted())
        provider.add_span_processor(
            # All of them, so that no variable of the SDK's own (OTEL_BSP_...) makes a sum that it refuses.
            BatchSpanProcessor(
                exporter,
                max_queue_size=_QUEUE,
                schedule_delay_millis=_EVERY_MILLISECONDS,
                max_export_batch_size=_BATCH,
                export_timeout_millis=EXPORT_SECONDS * 1000,
            )
        )
        self._tracer = provider.get_tracer("entry-script-server")
        if not isinstance(trace.get_tracer_provider(), TracerProvider):  # the script may have one of its own
            trace.set_tracer_provider(provider)

    def start(self, call: Call) -> None:
        """Begin the spans of a request whose run() begins, and make them the parents of what the script does.

        The connection's requests share one context, so each sets its own.
        """
        request = call.request
        header = request.headers.get("traceparent", "")
        if not header.endswith(_SAMPLED):
            context.attach(trace.set_span_in_context(_Unsampled(header), _NO_CONTEXT) if header else _NO_CONTEXT)
            return
        carrier = {"traceparent": header, "tracestate": request.headers.get("tracestate", "")}
        parent = _PROPAGATOR.extract(carrier, _NO_CONTEXT)
        # Moments of `perf_counter` become nanoseconds of the time of day.
        zero = time.time_ns() - int(time.perf_counter() * 1e9)
        received, started = (zero + int(moment * 1e9) for moment in (call.received, call.started))
        server = self._tracer.start_span(
            f"{request.method} {request.path}",
            parent,
            kind=SpanKind.SERVER,
            start_time=received,
            attributes={
                "http.request.method": request.method,
                "url.path": request.path,
                "request.id": call.ids.request if call.ids is not None else "",
            },
        )
        context.attach(parent)
        if not server.is_recording():  # a malformed header
            return
        below = trace.set_span_in_context(server, parent)
        self._tracer.start_span("queue", below, start_time=received).end(started)
        run = self._tracer.start_span("run", below, start_time=started)
        call.trace = Trace(self._tracer, server, run)
        context.attach(trace.set_span_in_context(run, parent))


class Trace:
    """The spans of one request."""

    __slots__ = ("_has_answered", "_has_run", "_run", "_server", "_tracer")

    def __init__(self, tracer: trace.Tracer, server: Span, run: Span) -> None:
        self._tracer = tracer
        self._server = server
        self._run = run
        self._has_run = False
        self._has_answered = False

    def fail(self, error: BaseException) -> None:
        """Note the kind of the exception that run() raised: its message may hold what a client sent."""
        _mark(self._run, error)

    def end_run(self) -> None:
        """End the span of run(): the script has done its part."""
        self._run.end()
        self._has_run = True
        if self._has_answered:  # before, with the first of several parts
            self._server.end()

    def answer(self, status: int) -> None:
        """Note the answer's status; the request ends with it, or with the last part of its answer."""
        self._server.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._server.set_status(StatusCode.ERROR)
        self._has_answered = True
        if self._has_run:
            self._server.end()

    def call(self, model: str) -> TritonCall:
        """Begin the span of a call of Triton, below the current span, which may be one of the script's."""
        attributes = {"triton.model_name": model}
        return TritonCall(self._tracer.start_span(f"infer {model}", kind=SpanKind.CLIENT, attributes=attributes))


class TritonCall:
    """The span of one call of Triton."""

    __slots__ = ("_span", "headers")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.headers: dict[str, str] = {}  # by which Triton hangs its own spans below this one
        _PROPAGATOR.inject(self.headers, trace.set_span_in_context(span, _NO_CONTEXT))

    def end(self, error: BaseException | None = None) -> None:
        """End the span, with the exception that came in place of an answer."""
        if error is not None:
            _mark(self._span, error)
        self._span.end()


class _Unsampled(trace.NonRecordingSpan):
    """The current span of a request without a trace. It reads its header when somebody asks: few scripts do."""

    def __init__(self, header: str) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self._header = header

    def get_span_context(self) -> SpanContext:
        """Give the request's trace id, and that its trace is not sampled."""
        found = trace.get_current_span(_PROPAGATOR.extract({"traceparent": self._header}, _NO_CONTEXT))
        return found.get_span_context()


def _mark(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))


def _trusted() -> str | None:
    """Find the certificates that vouch for the collector: Triton and Envoy read the same ones.

    None leaves it to the SDK, which reads the file that its own variable names, or the ones of a package.
    """
    is_named = any(os.environ.get(name) for name in _CERTIFICATES)
    return None if is_named or not Path(_SYSTEMS).is_file() else _SYSTEMS


_spans: Spans | None = None


def spans_to(url: str) -> Spans:
    """Give the spans of this process; OpenTelemetry has one provider of tracers in each."""
    global _spans
    if _spans is None:
        _spans = Spans(url)
    return _spans
