"""A request on its way through the script, and the current one: for gevent's greenlets and asyncio's tasks alike."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from serving.http.client_contract import Ids
from serving.http.http1 import Request

if TYPE_CHECKING:
    from serving.spans import Trace, TritonCall


class Call:
    """One request on its way through the script."""

    __slots__ = (
        "arguments",
        "away_seconds",
        "has_ended",
        "has_expired",
        "ids",
        "is_counted",
        "is_running",
        "keep_alive",
        "parts",
        "received",
        "request",
        "run_seconds",
        "since",
        "started",
        "trace",
        "triton_seconds",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.keep_alive = request.keep_alive
        self.received = request.received
        self.started = 0.0
        self.since = 0.0  # the time limit counts from here: the start of run(), or of an answer's next part
        self.parts = 0  # of its answer, sent so far
        self.away_seconds = 0.0  # the time for which the client took parts of its answer
        self.run_seconds = 0.0
        self.is_counted = False  # among the requests in flight
        self.is_running = False
        self.has_ended = False  # whether the script has done its part
        self.has_expired = False
        self.triton_seconds = 0.0
        self.ids: Ids | None = None
        self.trace: Trace | None = None  # where the front door has chosen the request for one
        self.arguments: dict[str, Any] = {}


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


def request_id() -> str:
    """Give the id of the current request; an empty string outside of one."""
    call = current_call.get()
    return call.ids.request if call is not None and call.ids is not None else ""


def begin_triton_call(model: str) -> TritonCall | None:
    """Begin the span of a call of Triton; None where the current request has no trace."""
    call = current_call.get()
    return None if call is None or call.trace is None else call.trace.call(model)


@contextlib.contextmanager
def triton_call(model: str) -> Iterator[dict[str, str]]:
    """Count a call of Triton for the current request, and give it a span where the request has a trace.

    Yields:
        The headers of HTTP, or the metadata of gRPC, that the call carries to Triton.
    """
    span = begin_triton_call(model)
    started = time.perf_counter()
    try:
        yield {} if span is None else span.headers
    except BaseException as error:
        if span is not None:
            span.end(error)
        raise
    else:
        if span is not None:
            span.end()
    finally:
        add_triton_seconds(time.perf_counter() - started)


def add_triton_seconds(seconds: float) -> None:
    """Count time for which the current request waited for Triton."""
    call = current_call.get()
    if call is not None:
        call.triton_seconds += seconds
