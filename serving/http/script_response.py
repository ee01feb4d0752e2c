"""An HTTP response that run() makes itself: the check that HTTP can carry it, and its parts."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from typing import Any

from serving.errors import ServingError
from serving.http.client_contract import Headers

# The server sets these, or they belong to one connection only (RFC 9110, 7.6.1).
_OWN_HEADERS = frozenset({"content-length", "content-type", "date", "server", "x-ms-run-fn-exec-ms"}) | {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    "upgrade",
}
# RFC 9110: 5.6.2 (token) and 5.5 (field-value).
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_STATUSES = range(200, 600)


class AnswerError(ServingError):
    """A response that HTTP cannot carry: the script's error."""


def is_response(output: Any) -> bool:
    """Tell whether run() returned an HTTP response: an `AMLResponse`, or any other of Werkzeug's."""
    werkzeug = sys.modules.get("werkzeug.wrappers")
    return werkzeug is not None and isinstance(output, werkzeug.Response)


def parts_of(response: Any) -> tuple[int, str | None, Headers]:
    """Take a response apart into its status, content type and headers.

    Raises:
        AnswerError: HTTP does not allow the status, or a header.
    """
    status = response.status_code
    if isinstance(status, bool) or not isinstance(status, int) or status not in _STATUSES:
        raise AnswerError(f"run() returned a response of status {status!r}: expected a status from 200 to 599")
    headers = [(name, str(value)) for name, value in response.headers.items()]
    for name, value in headers:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise AnswerError(
                f"run() returned a response with a header named {name!r}: expected letters, digits and !#$%&'*+-.^_`|~"
            )
        if not _VALUE.fullmatch(value):
            raise AnswerError(
                f"run() returned a response whose header {name!r} is {value!r}: expected no line ends and no other "
                "control characters"
            )
    return int(status), response.headers.get("Content-Type"), headers


def without(headers: Headers, names: Collection[str]) -> Headers:
    """Leave out the headers that the server sets itself; `names` are more of them, in lower case."""
    return [(name, value) for name, value in headers if name.lower() not in names and name.lower() not in _OWN_HEADERS]
