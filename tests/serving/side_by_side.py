"""Sends the same request to both servers, and takes the parts of the answers that the tests compare."""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.serving.servers import HTTP, Server

# Compared by value; an id that a server made up is compared as such.
COMPARED = (
    "allow",
    "content-type",
    "x-request-id",
    "x-ms-request-id",
    "x-ms-client-request-id",
    "x-ms-run-function-failed",
    "traceid",
    "x-custom",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
)
# Lists without an order (RFC 9110, section 10.2.1): Flask writes them from a set, in another order with each process.
UNORDERED = frozenset({"allow", "access-control-allow-methods", "access-control-allow-headers"})
# Compared by presence, and by number.
PRESENT = ("x-ms-run-fn-exec-ms", "x-ms-server-version", "date", "server")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Case:
    """One request. `differs` says why our answer deliberately differs, and `ours` is that answer."""

    name: str
    method: str = "POST"
    path: str = "/score"
    content: str | bytes = ""
    headers: dict[str, str] = field(default_factory=dict)
    differs: str = ""
    ours: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def ask(self, server: Server) -> dict[str, Any]:
        """Take the part of the server's answer that belongs to its contract."""
        answer = HTTP.request(self.method, server.url + self.path, content=self.content, headers=self.headers)
        return summary(answer)


def summary(answer: httpx.Response) -> dict[str, Any]:
    """Take status, body and headers of an answer."""
    found: dict[str, Any] = {"status": answer.status_code, "body": _body(answer)}
    for name in COMPARED:
        if name in answer.headers:
            value = _UUID.sub("<uuid>", answer.headers[name])
            found[name] = ", ".join(sorted(value.split(", "))) if name in UNORDERED else value
    for name in PRESENT:
        if name in answer.headers:
            found[name] = len(answer.headers.get_list(name))
    return found


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text
