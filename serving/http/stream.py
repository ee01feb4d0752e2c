"""An answer in parts: the server sends each part of a response over a generator when the generator gives it.

    run() returns a response over an iterator
      the first part         the server sends the head and the part; a failure before it is a 500 as for any run()
      each further part      the server sends it; SCORING_TIMEOUT_MS bounds the time until it comes
      the end                the server sends the last chunk, and the connection goes on
      an exception           the server closes the connection without the last chunk: so the client sees the failure
      the client leaves      the server closes the generator where it stands

A client of HTTP/1.0 knows no chunks: the end of the connection ends the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from serving.http.client_contract import Headers
from serving.http.http1 import NO_BODY, Request

LAST_CHUNK = b"0\r\n\r\n"


class StreamBroken(ConnectionAbortedError):
    """The script failed between two parts, after its client got the first."""


class Stream:
    """The parts of one answer."""

    def __init__(
        self, response: Any, request: Request, status: int, content_type: str | None, headers: Headers
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.headers = headers
        self.is_open = False  # whether the head is sent
        self.is_chunked = request.http_version != "1.0"
        self.has_body = request.method != "HEAD" and status not in NO_BODY
        self._response = response
        self._parts: Iterator[Any] | AsyncIterator[Any] | None = None

    @property
    def is_async(self) -> bool:
        """Whether the parts come from an asynchronous generator."""
        return hasattr(self._response.response, "__aiter__")

    def next(self) -> bytes | None:
        """Get the next part; None at the end. It leaves out empty parts: an empty chunk would end the answer."""
        if not self.has_body:
            return None
        if self._parts is None:
            self._parts = iter(self._response.response)
        for part in self._parts:  # type: ignore[union-attr]
            if part:
                return _encoded(part)
        return None

    async def anext(self) -> bytes | None:
        """Get the next part of an asynchronous generator, see `next`."""
        if not self.has_body:
            return None
        if self._parts is None:
            self._parts = aiter(self._response.response)
        async for part in self._parts:  # type: ignore[union-attr]
            if part:
                return _encoded(part)
        return None

    def close(self) -> None:
        """Close the generator, and call what the script wants called at the end (`call_on_close`)."""
        self._response.close()

    async def aclose(self) -> None:
        """Close an asynchronous generator, see `close`."""
        if hasattr(self._response.response, "aclose"):
            await self._response.response.aclose()
        self._response.close()

    def frame(self, part: bytes | None) -> bytes:
        """Frame a part, or the end (None), as the connection carries it."""
        if not self.has_body:
            return b""
        if not self.is_chunked:
            return part or b""
        return LAST_CHUNK if part is None else b"%x\r\n%b\r\n" % (len(part), part)


def _encoded(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    return part.encode() if isinstance(part, str) else bytes(memoryview(part))
