"""A request on its way through the script, and the current one: for gevent's greenlets and asyncio's tasks alike."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from serving.http.client_contract import Ids
from serving.http.http1 import Request


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
        self.arguments: dict[str, Any] = {}


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


def request_id() -> str:
    """Give the id of the current request; an empty string outside of one."""
    call = current_call.get()
    return call.ids.request if call is not None and call.ids is not None else ""


def add_triton_seconds(seconds: float) -> None:
    """Count time for which the current request waited for Triton."""
    call = current_call.get()
    if call is not None:
        call.triton_seconds += seconds
