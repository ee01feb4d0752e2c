"""The server of the page, on 127.0.0.1 alone, for whoever has the address that `make dashboard` prints.

    GET  /, /api, /*.js, /*.css    the same for everybody: they tell nothing; two files of them are Swagger UI's
    GET  /figures, /requests, /description    what the page shows   ┐ with the token that the address ends with,
    POST /ask                                 what the form sends   ┘ in a header

The token keeps out other users of this machine, and other pages in the browser: no browser sends a header of another
site's page along without asking this server first, which agrees to nothing. A page under another name that leads to
127.0.0.1 is refused by its `Host`. The token stands behind the `#`, which no browser sends to any server.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from common.errors import UserError
from common.redaction import redacted
from operate.dashboard.errors import FormError
from targets import report
from targets.errors import ServiceError

__all__ = ["TOKEN_HEADER", "Answers", "Server"]

HOST = "127.0.0.1"
TOKEN_HEADER = "X-Dashboard-Token"
MOST_BYTES = 64 * 1024 * 1024
_SILENT_SECONDS = 30
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_OURS = Path(__file__).with_name("pages")
# Of the distribution, because an import of the package would import Flask too.
_SWAGGER_UI = Path(str(distribution("flask-swagger-ui").locate_file("flask_swagger_ui/dist")))
_PAGES = {
    "/": _OURS / "page.html",
    "/api": _OURS / "api.html",
    "/api.css": _OURS / "api.css",
    "/page.css": _OURS / "page.css",
    "/report.css": Path(str(report.__file__)).with_name("page.css"),  # colours and tables as in a rollout's report
    **{f"/{name}.js": _OURS / f"{name}.js" for name in ("api", "charts", "common", "page")},
    **{f"/{name}": _SWAGGER_UI / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")},
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Answers = Mapping[str, Callable[[], Any]]


class Server(ThreadingHTTPServer):
    """The server.

    Args:
        port: The port of this machine; 0 for a free one.
        stack: The name of the stack, for a message that has a command.
        shown: What answers a GET of each path, as JSON.
        ask: What answers the form.

    Raises:
        ServiceError: Another process has the port.
    """

    daemon_threads = True

    def __init__(self, port: int, stack: str, shown: Answers, ask: Callable[[Mapping[str, Any]], Any]) -> None:
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ServiceError(
                f"PORT {port} cannot be had for the dashboard: {error}; choose another one: "
                f"make dashboard STACK={stack} PORT=6782"
            ) from None
        self.shown, self.ask, self.token = shown, ask, secrets.token_urlsafe(24)
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    def server_bind(self) -> None:
        """Take the port, without the look-up of a name that HTTP servers make: nobody needs it, and it may hang."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what went wrong with a request, unless the browser went away."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Return the address to open."""
        return f"http://{HOST}:{self.server_port}/#{self.token}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SILENT_SECONDS
    server_version, sys_version = "dashboard", ""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self._is_for_us():
            return
        if path in _PAGES:
            page = _PAGES[path]
            self._send(HTTPStatus.OK, f"{_TYPES[page.suffix]}; charset=utf-8", page.read_bytes())
        elif path not in self.server.shown:
            self._say(HTTPStatus.NOT_FOUND, f"{path} is not served here")
        elif self._is_trusted():
            self._answer(self.server.shown[path])

    def do_POST(self) -> None:
        if not self._is_for_us() or not self._is_trusted():
            return
        if urlsplit(self.path).path != "/ask":
            self._say(HTTPStatus.NOT_FOUND, "the form sends to /ask")
            return
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self._say(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
            return
        if not 0 <= length <= MOST_BYTES:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected {MOST_BYTES} bytes at most")
            return
        try:
            asked = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            self._say(HTTPStatus.BAD_REQUEST, "expected a JSON object")
            return
        self._answer(lambda: self.server.ask(asked))

    def _is_for_us(self) -> bool:
        """Refuse a request that reached this address by another name, as after DNS rebinding."""
        if self.headers.get("Host", "") in self.server.hosts:
            return True
        self._say(HTTPStatus.FORBIDDEN, "expected this page under the address that `make dashboard` printed")
        return False

    def _is_trusted(self) -> bool:
        origin = self.headers.get("Origin")
        given = self.headers.get(TOKEN_HEADER, "").encode()
        known = secrets.compare_digest(given, self.server.token.encode())
        if known and (origin is None or urlsplit(origin).netloc in self.server.hosts):
            return True
        self._say(HTTPStatus.FORBIDDEN, "open the whole address that `make dashboard` printed, with what follows the #")
        return False

    def _answer(self, made: Callable[[], Any]) -> None:
        try:
            content = json.dumps(made()).encode()
        except FormError as error:
            self._say(HTTPStatus.BAD_REQUEST, redacted(str(error)))
        except UserError as error:
            self._say(HTTPStatus.BAD_GATEWAY, redacted(str(error)))
        except Exception as error:  # services answer with what they like, and the page waits for an answer
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"the answer cannot be shown ({type(error).__name__})")
        else:
            self._send(HTTPStatus.OK, "application/json", content)

    def _say(self, status: HTTPStatus, error: str) -> None:
        self._send(status, "application/json", json.dumps({"error": error}).encode())

    def _send(self, status: HTTPStatus, content_type: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": content_type, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no line for each request: the page asks every two seconds."""
