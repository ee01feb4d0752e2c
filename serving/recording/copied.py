"""A copied request: what the recorder keeps of it, and what a record of it holds.

time                 when the copy was complete, ISO 8601 in UTC
service, version     SERVICE_NAME and SERVICE_VERSION
check                whether the deployment sent the request, to prove itself (header `x-service-check`)
requestId, clientRequestId
method, path         without the query; of gRPC the method's, as `/inference.GRPCInferenceService/ModelInfer`
contentType          `application/grpc` or, for HTTP, the one that the front door sets
headBytes            how many bytes are JSON, where binary tensors follow; null elsewhere
input                text; base64 where the content is no UTF-8; of gRPC the message alone
inputEncoding        "utf-8" or "base64"
inputBytes           the full length
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone

from serving.collection.batch import as_text
from serving.collection.file_format import Document
from serving.http.http1 import Request
from serving.probing.probe import CHECK_HEADER
from serving.settings import Settings
from serving.triton.tensors import LENGTH_HEADER

GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
GRPC = "application/grpc"
HTTP_PATH = re.compile(r"/v2/models/[^/;?#\\]+(/versions/[0-9]+)?/(infer|generate)")  # as the front door serves it
_PREFIX_BYTES = 5  # of a message of gRPC: whether it is compressed, and its length
_LENGTH = LENGTH_HEADER.lower()
_MOST_CHARACTERS = 200


class NoRequestError(ValueError):
    """A copy that is no whole request to a model; the text says why."""


@dataclass(frozen=True)
class Copied:
    """A request to a model. Of its headers it has these alone, and so no key."""

    time: float
    path: str
    content_type: str
    head_bytes: int | None
    request_id: str
    client_request_id: str
    check: bool
    body: bytes

    @classmethod
    def of(cls, request: Request) -> Copied:
        """Take what is kept of a request.

        Raises:
            NoRequestError: It is none to a model, or not whole.
        """
        path, headers = request.target.partition(b"?")[0].decode("latin-1"), request.headers
        of_grpc = path == GRPC_PATH
        if request.method != "POST" or not (of_grpc or HTTP_PATH.fullmatch(path)):
            raise NoRequestError(f"{request.method} {path[:_MOST_CHARACTERS]!r} is no request to a model")
        head = headers.get(_LENGTH, "")
        if head and not (head.isdecimal() and int(head) <= len(request.body)):
            raise NoRequestError(f"{LENGTH_HEADER} is no length of a part of the body")
        return cls(
            time=time.time(),
            path=path,
            content_type=GRPC if of_grpc else headers.get("content-type", "")[:_MOST_CHARACTERS],
            head_bytes=int(head) if head else None,
            request_id=headers.get("x-request-id", "")[:_MOST_CHARACTERS],
            client_request_id=headers.get("x-ms-client-request-id", "")[:_MOST_CHARACTERS],
            check=CHECK_HEADER in headers,
            body=_message(request.body) if of_grpc else request.body,
        )

    def document(self, settings: Settings) -> Document:
        """Write the record."""
        text, encoding = as_text(self.body, len(self.body))
        return {
            "time": datetime.fromtimestamp(self.time, timezone.utc).isoformat(timespec="microseconds"),
            "service": settings.service_name,
            "version": settings.service_version,
            "requestId": self.request_id,
            "clientRequestId": self.client_request_id,
            "check": self.check,
            "method": "POST",
            "path": self.path,
            "contentType": self.content_type,
            "headBytes": self.head_bytes,
            "inputBytes": len(self.body),
            "input": text,
            "inputEncoding": encoding,
        }


def _message(body: bytes) -> bytes:
    """Take the one message of a call of gRPC."""
    if body[:1] != b"\0" or int.from_bytes(body[1:_PREFIX_BYTES], "big") != len(body) - _PREFIX_BYTES:
        raise NoRequestError("the body is not one message of gRPC, uncompressed and whole")
    return body[_PREFIX_BYTES:]
