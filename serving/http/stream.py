"""An answer in parts: a response over a generator is sent as the generator gives it, each part when it comes.

    run() returns a response over an iterator
      the first part         the head and the part are sent; what fails before is a 500 as for any run()
      each further part      is sent; SCORING_TIMEOUT_MS bounds the time until it comes
      the end                the last chunk is sent, and the connection goes on
      an exception           the connection is closed without the last chunk, so that the client sees that parts lack
      the client leaves      the generator is closed where it stands

A client of HTTP/1.0 knows no chunks: the end of the connection ends the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from serving.http.contract import Headers
from serving.http.http1 import NO_BODY, Request

LAST_CHUNK = b"0\r\n\r\n"


class StreamBroken(ConnectionAbortedError):
    """The script failed between two parts; its client has some already."""


class Stream:
    """The parts of one answer."""

    def __init__(
        self, response: Any, request: Request, status: int, content_type: str | None, headers: Headers
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.headers = headers
        self.is_open = False  # the head is sent
        self.is_chunked = request.http_version != "1.0"
        self.has_body = request.method != "HEAD" and status not in NO_BODY
        self._response = response
        self._parts: Iterator[Any] | AsyncIterator[Any] | None = None

    @property
    def is_async(self) -> bool:
        """Whether its parts come from an asynchronous generator."""
        return hasattr(self._response.response, "__aiter__")

    def next(self) -> bytes | None:
        """The next part; None at the end. An empty one would end the answer, and is left out."""
        if not self.has_body:
            return None
        if self._parts is None:
            self._parts = iter(self._response.response)
        for part in self._parts:  # type: ignore[union-attr]
            if part:
                return _encoded(part)
        return None

    async def anext(self) -> bytes | None:
        """The next part of an asynchronous generator."""
        if not self.has_body:
            return None
        if self._parts is None:
            self._parts = aiter(self._response.response)
        async for part in self._parts:  # type: ignore[union-attr]
            if part:
                return _encoded(part)
        return None

    def close(self) -> None:
        """Close the generator, and do what else the script wants done at the end."""
        self._response.close()

    async def aclose(self) -> None:
        """Close an asynchronous generator, and so on."""
        if hasattr(self._response.response, "aclose"):
            await self._response.response.aclose()
        self._response.close()

    def frame(self, part: bytes | None) -> bytes:
        """A part, or the end, as it is sent."""
        if not self.has_body:
            return b""
        if not self.is_chunked:
            return part or b""
        return LAST_CHUNK if part is None else b"%x\r\n%b\r\n" % (len(part), part)


def _encoded(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    return part.encode() if isinstance(part, str) else bytes(memoryview(part))
