"""A rate limit service: it counts in seconds as envoyproxy/ratelimit does, hangs, and is gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from gateway.rate_limit_service import RateLimitService

PACKAGE = "envoy.service.ratelimit.v3"
OK, OVER_LIMIT = 1, 2
_TYPES = ("STRING", "INT32", "MESSAGE")


def _messages() -> tuple[Any, Any]:
    """The request and the response: of Envoy's messages, what this service reads and writes."""
    text, number, message = (getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{t}") for t in _TYPES)
    file = descriptor_pb2.FileDescriptorProto(name="rate_limits.proto", package="tests", syntax="proto3")
    fields = {
        "Entry": [("key", 1, text, ""), ("value", 2, text, "")],
        "Descriptor": [("entries", 1, message, "Entry")],
        "Request": [("domain", 1, text, ""), ("descriptors", 2, message, "Descriptor")],
        "Response": [("overall_code", 1, number, "")],
    }
    for name, parts in fields.items():
        made = file.message_type.add(name=name)
        for part, place, kind, of in parts:
            added = made.field.add(name=part, number=place, type=kind, label=3 if of else 1)
            if of:
                added.type_name = f".tests.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    request, response = (pool.FindMessageTypeByName(f"tests.{name}") for name in ("Request", "Response"))
    return message_factory.GetMessageClass(request), message_factory.GetMessageClass(response)


Request, Response = _messages()


@dataclass
class RateLimits:
    """The service.

    Attributes:
        per_second: What each client may ask for; a client without a number is not limited.
        asked: How often it was asked, by domain and descriptor.
        hangs: Whether it keeps its answers back.
    """

    port: int
    per_second: dict[str, int]
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    hangs: bool = False

    def __post_init__(self) -> None:
        self._lock, self._go_on, self._counted = threading.Lock(), threading.Event(), Counter[tuple[str, int]]()

    def start(self) -> None:
        answer = grpc.unary_unary_rpc_method_handler(
            self._answer, request_deserializer=Request.FromString, response_serializer=Response.SerializeToString
        )
        handler = grpc.method_handlers_generic_handler(f"{PACKAGE}.RateLimitService", {"ShouldRateLimit": answer})
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((handler,))
        assert self._server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self._server.start()

    def stop(self) -> None:
        self._go_on.set()
        self._server.stop(None).wait()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        self._go_on.clear()
        self.hangs = True
        yield
        self.hangs = False
        self._go_on.set()

    @property
    def settings(self) -> RateLimitService:
        return RateLimitService(host="127.0.0.1", port=self.port, domain="triton", timeout_ms=1000)

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        (entry,) = (entry for descriptor in request.descriptors for entry in descriptor.entries)
        if self.hangs:
            self._go_on.wait(10)
        with self._lock:
            self.asked[request.domain, f"{entry.key}={entry.value}"] += 1
            window = (entry.value, int(time.time()))
            self._counted[window] += 1
            within = self._counted[window] <= self.per_second.get(entry.value, 1_000_000)
        return Response(overall_code=OK if within else OVER_LIMIT)
