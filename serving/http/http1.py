"""HTTP/1.1 as bytes: reads requests from bytes, and writes answers as bytes. It knows no socket and no event loop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote

import httptools

from serving import __version__
from serving.errors import RequestError

SERVER_NAME = f"serving/{__version__}"
MAX_HEADER_BYTES = 65536
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_BODY = (204, 304)  # statuses whose answers have no body
CHUNKED = b"Transfer-Encoding: chunked\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_common_headers: tuple[int, bytes] = (0, b"")


class ProtocolError(RequestError):
    """The client does not speak HTTP, or sends more than the limits allow."""


class Request:
    """One request. Header names are in lower case; a comma joins the values of a repeated header."""

    __slots__ = ("body", "headers", "http_version", "keep_alive", "method", "received", "target")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.http_version = "1.1"
        self.headers: dict[str, str] = {}
        self.body = b""
        self.keep_alive = True
        self.received = 0.0

    @property
    def path(self) -> str:
        """The decoded path, without the query."""
        return unquote(self.target.partition(b"?")[0].decode("latin-1"))

    @property
    def query(self) -> str:
        """The text behind the question mark."""
        return self.target.partition(b"?")[2].decode("latin-1")


class RequestParser:
    """Turns the bytes of one connection into requests, in order, pipelined requests too.

    Attributes:
        requests: the complete requests; the caller removes those that it answers.
        continue_expected: whether the client waits for `100 Continue` before it sends the body.
    """

    __slots__ = (
        "_body",
        "_has_begun",
        "_header_bytes",
        "_is_in_headers",
        "_max_body",
        "_parser",
        "_request",
        "_unfinished_bytes",
        "continue_expected",
        "requests",
    )

    def __init__(self, max_body: int) -> None:
        self.requests: list[Request] = []
        self.continue_expected = False
        self._max_body = max_body
        self._parser = httptools.HttpRequestParser(self)
        self._request: Request | None = None
        self._body: bytes | bytearray = b""
        self._has_begun = False  # whether a request begins in these bytes
        self._header_bytes = 0
        self._is_in_headers = False
        self._unfinished_bytes = 0

    @property
    def is_idle(self) -> bool:
        """Whether the connection is between two requests."""
        return self._request is None and not self.requests

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection, and append complete requests to `requests`.

        Raises:
            ProtocolError: the bytes are no HTTP, or exceed a limit.
        """
        body_bytes, self._has_begun = len(self._body), False
        offer_end = 0
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as error:
                offer_end = error.args[0]
            if offer_end:
                self._ignore_offers(data[offer_end:])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, ProtocolError):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise ProtocolError(400, f"Malformed HTTP request: {error}") from None
        if self._request is not None and not self._has_begun and len(self._body) == body_bytes:
            # httptools calls back for complete headers only, before the body and after it.
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAX_HEADER_BYTES:
                raise _too_large()
        else:
            self._unfinished_bytes = 0

    def _ignore_offers(self, data: bytes) -> None:
        """Read on after the head of a request that offers another protocol; the server knows none to upgrade to.

        httptools takes such a request for a request without a body. So another parser gets the head without the offer.
        """
        while True:
            request = self.requests[-1]
            if request.method == "CONNECT":  # no HTTP follows: the connection ends with the answer
                request.keep_alive = False
                return
            del self.requests[-1]
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(_head_without_upgrade(request))
            (self._request or self.requests[-1]).headers = request.headers
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as error:
                data = data[error.args[0] :]
            else:
                return

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request = Request()
        self._is_in_headers = self._has_begun = True
        self._body = b""
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        assert self._request is not None
        self._request.target += url
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or leave out a trailer."""
        assert self._request is not None
        self._header_bytes += len(name) + len(value)
        if not self._is_in_headers:  # a trailer: nobody uses it
            if self._header_bytes > MAX_HEADER_BYTES:
                raise _too_large()
            return
        if b"_" in name:
            return  # WSGI takes it for the header with a dash, so a client could forge that one
        headers = self._request.headers
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")
        headers[key] = f"{headers[key]},{text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """Complete the head: method, version, keep-alive, and the limits for headers and body."""
        request = self._request
        assert request is not None
        self._is_in_headers = False
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _too_large()
        request.method = self._parser.get_method().decode("latin-1")
        if not request.target.startswith(b"/") or request.target.startswith(b"//"):
            request.target = _origin_form(request.target)
        request.http_version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        length = request.headers.get("content-length")
        if length is not None and int(length) > self._max_body:
            self._refuse_body()
        if request.headers.get("expect", "").lower() == "100-continue":
            self.continue_expected = True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._body:
            self._body = body  # most bodies have one part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > self._max_body:
            self._refuse_body()

    def on_message_complete(self) -> None:
        """Append the complete request to `requests`."""
        request = self._request
        assert request is not None
        request.body = bytes(self._body)
        request.received = time.perf_counter()
        self.requests.append(request)
        self._request = None
        self._body = b""
        self.continue_expected = False

    def _refuse_body(self) -> None:
        raise ProtocolError(413, f"Request body must not exceed {self._max_body} bytes")


def _origin_form(target: bytes) -> bytes:
    """Take the path and query of `http://host/path?query`, or of a path that begins with several slashes."""
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() in (b"http", b"https"):
        target = b"/" + rest.partition(b"/")[2]
    return b"/" + target.lstrip(b"/") if target.startswith(b"/") else target


def _head_without_upgrade(request: Request) -> bytes:
    lines = [f"{name}: {value}\r\n".encode("latin-1") for name, value in request.headers.items() if name != "upgrade"]
    version = request.http_version.encode()
    return b"%s %s HTTP/%s\r\n%s\r\n" % (request.method.encode(), request.target, version, b"".join(lines))


def _too_large() -> ProtocolError:
    return ProtocolError(431, f"Request headers must not exceed {MAX_HEADER_BYTES} bytes")


def response(
    status: int,
    body: bytes,
    headers: Iterable[tuple[str, str]] = (),
    *,
    content_type: str | None = "application/json",
    keep_alive: bool = True,
    is_head: bool = False,
) -> bytes:
    """Write an answer as bytes.

    Args:
        status: the HTTP status.
        body: the body; left out where the status has none.
        headers: more headers than those of every answer.
        content_type: the type of the body, if any.
        keep_alive: whether the connection stays open.
        is_head: whether the client wants the headers only.
    """
    has_body = status not in NO_BODY
    framing = b"Content-Length: %d\r\n" % len(body) if has_body else b""
    start = head(status, headers, content_type=content_type, keep_alive=keep_alive, framing=framing)
    return start + body if has_body and not is_head else start


def head(
    status: int, headers: Iterable[tuple[str, str]], *, content_type: str | None, keep_alive: bool, framing: bytes
) -> bytes:
    """Write the bytes of an answer before its body; `framing` is the header that says where the body ends."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n".encode(), common_headers()]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}\r\n".encode("latin-1", "replace"))
    lines.append(framing)
    for name, value in headers:
        lines.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def common_headers() -> bytes:
    """Give the `Server` and `Date` headers, made once a second."""
    global _common_headers
    now = int(time.time())
    if _common_headers[0] != now:
        _common_headers = (now, f"Server: {SERVER_NAME}\r\nDate: {formatdate(now, usegmt=True)}\r\n".encode())
    return _common_headers[1]
