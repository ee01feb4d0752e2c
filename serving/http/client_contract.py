"""The contract with clients: request ids and their echo, errors without internals."""

from __future__ import annotations

import json
import uuid

import orjson

from serving.errors import RequestError
from serving.http.http1 import Request

ID_LIMIT = 100
JSON = "application/json"
TEXT = "text/html; charset=utf-8"
NOT_FOUND = (
    "The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again."
)
METHOD_NOT_ALLOWED = "The method is not allowed for the requested URL."
SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
INTERNAL_ERROR = "An unexpected internal error occurred. Check the logs for more info."

Headers = list[tuple[str, str]]
# The answer to OPTIONS, for a path that clients only read.
ALLOW = ("Allow", "OPTIONS, HEAD, GET")
# Every answer to a failure that is not run()'s has this header.
NOT_FAILED: Headers = [("x-ms-run-function-failed", "False")]


class Ids:
    """The ids of one request: the client's, and a new one where the client sent none."""

    __slots__ = ("client", "legacy", "request")

    def __init__(self, headers: dict[str, str]) -> None:
        """Read the ids from a request's headers.

        Raises:
            IdError: an id is too long.
        """
        self.request = self.legacy = self.client = ""
        request = headers.get("x-request-id")
        if request is None:
            request = str(uuid.uuid4())
        if len(request) > ID_LIMIT:
            raise IdError(self, f"x-request-id must not exceed {ID_LIMIT} characters")
        self.request = request
        # x-ms-request-id was the id of both, before the client's id had a header of its own.
        legacy = headers.get("x-ms-request-id", "")
        client = headers.get("x-ms-client-request-id", "")
        if legacy:
            client = client or legacy
        else:
            legacy = client or request
        if len(legacy) > ID_LIMIT or len(client) > ID_LIMIT:
            raise IdError(self, f"x-ms-request-id and x-ms-client-request-id must not exceed {ID_LIMIT} characters")
        self.legacy, self.client = legacy, client


class IdError(RequestError):
    """A request id that is longer than `ID_LIMIT`; `ids` holds the shorter ones, for the echo."""

    def __init__(self, ids: Ids, message: str) -> None:
        super().__init__(431, message)
        self.ids = ids


def echo(ids: Ids, request: Request, server_version: str) -> Headers:
    """Make the headers by which an answer says which request it answers."""
    headers = []
    if server_version:
        headers.append(("x-ms-server-version", server_version))
    if ids.request:
        headers.append(("x-request-id", ids.request))
    if ids.legacy:
        headers.append(("x-ms-request-id", ids.legacy))
    if ids.client:
        headers.append(("x-ms-client-request-id", ids.client))
    trace = request.headers.get("traceid")
    if trace is not None:
        headers.append(("TraceId", trace))
    return headers


def error_body(message: str) -> bytes:
    """Make the body of an error."""
    try:
        return orjson.dumps({"message": message})
    except TypeError:  # a lone surrogate, which the client may have sent in its JSON
        return json.dumps({"message": message}).encode()
