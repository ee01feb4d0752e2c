"""The recorder's server: takes the copies of requests that Envoy sends over HTTP/1.1, those of gRPC too.

Envoy does not wait for the answers and discards them. A copy that is too large is refused with the first bytes that
tell it, so that Envoy holds it no longer.
"""

from __future__ import annotations

import asyncio
from typing import cast

import orjson

from serving.http.http1 import ProtocolError, RequestParser, response
from serving.recording.copied import Copied, NoRequestError
from serving.recording.writer import QUEUE_BYTES, Writer

_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Intake:
    """What all connections share: the writer, and the bytes of requests that are not complete."""

    def __init__(self, writer: Writer, max_body: int) -> None:
        self.writer = writer
        self.max_body = max_body
        self.unfinished = 0

    def connection(self) -> asyncio.Protocol:
        """Make the protocol of a connection."""
        return _Connection(self)

    def counts(self) -> bytes:
        """Tell what became of the copies, as JSON."""
        counts = self.writer.counts.by_name
        return orjson.dumps({"written": counts["collected"], "dropped": self.writer.dropped})


class _Connection(asyncio.Protocol):
    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._parser = RequestParser(intake.max_body)
        self._unfinished = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except ProtocolError as error:
            self._refuse(error.status, "dropped_large" if error.status == 413 else "dropped_unread")
            return
        requests = self._parser.requests
        if not requests:
            self._unfinished += len(data)
            self._intake.unfinished += len(data)
            if self._intake.unfinished > QUEUE_BYTES:
                self._refuse(503, "dropped_busy")
            return
        self._finish()
        for request in requests:
            if request.method == "GET":
                self._transport.write(response(200, self._intake.counts()))
                continue
            try:
                self._intake.writer.offer(Copied.of(request))
            except NoRequestError:
                self._intake.writer.counts.add("dropped_unread", 1)
            self._transport.write(_TAKEN)
        requests.clear()

    def _refuse(self, status: int, why: str) -> None:
        self._intake.writer.counts.add(why, 1)
        self._transport.write(response(status, b"{}", keep_alive=False))
        self._transport.close()
        self._finish()

    def _finish(self) -> None:
        self._intake.unfinished -= self._unfinished
        self._unfinished = 0
