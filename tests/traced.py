"""What a service with traces shows on every target: whole traces, and requests that wait for no collector.

The service has the model `digits` and a script that asks it. It is deployed with a collector at an address of this
machine, which its containers or pods reach.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import numpy as np
import tritonclient.grpc

from settings.requirements_file import pip_packages
from settings.schema import Environment
from tests.otlp_sink import Sink, check_times, collector, sampled
from tests.waiting import eventually

_EXPORT_SECONDS = 5  # a part that waits for a collector gives up after so long, and no request may take it
_HANGS_SECONDS, _DOWN_SECONDS = 8, 5
_COMES_SECONDS, TRIES = 15, 3  # each part sends its spans every five seconds
_MODEL = "digits"
_TRITONS = ("InferRequest", _MODEL, "compute")
_SCORERS = ("POST /score", "queue", "run", f"infer {_MODEL}")
_IN_TRITON = ((_MODEL, "InferRequest"), ("compute", _MODEL))
_WAYS = {
    "score": (
        ("POST /score", "score"),
        ("queue", "POST /score"),
        ("run", "POST /score"),
        (f"infer {_MODEL}", "run"),
        ("InferRequest", f"infer {_MODEL}"),
        *_IN_TRITON,
    ),
    "infer": (("InferRequest", "infer"), *_IN_TRITON),
    "grpc_infer": (("InferRequest", "grpc_infer"), *_IN_TRITON),
}
"""The span of the front door for each way to ask, and what hangs below what."""


class Asking:
    """Requests to the service by each way.

    Args:
        client: A client of the front door, whose headers have the key.
        golden: The golden inference of the model, as JSON.
        scored: The body of a request to the script.
    """

    def __init__(self, client: httpx.Client, golden: dict[str, Any], scored: Any) -> None:
        self.client, self._golden, self._scored = client, golden, scored
        self._grpc = tritonclient.grpc.InferenceServerClient(client.base_url.netloc.decode())

    def ask(self, way: str, **headers: str) -> None:
        """Ask once; the answer must be one."""
        if way == "grpc_infer":
            (sent,) = self._golden["inputs"]
            tensor = tritonclient.grpc.InferInput(sent["name"], sent["shape"], sent["datatype"])
            tensor.set_data_from_numpy(np.array(sent["data"], np.float32).reshape(sent["shape"]))
            headers["authorization"] = self.client.headers["Authorization"]
            self._grpc.infer(_MODEL, [tensor], headers=headers, client_timeout=30)
            return
        path, body = ("/score", self._scored) if way == "score" else (f"/v2/models/{_MODEL}/infer", self._golden)
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    def for_seconds(self, seconds: float) -> list[float]:
        """Ask by each way in turns, each request with a trace; gives how long each took."""
        took, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            for way in _WAYS:
                began = time.perf_counter()
                self.ask(way, **sampled()[2])
                took.append(time.perf_counter() - began)
        return took


def packages() -> list[str]:
    """Name the packages that an environment has for traces."""
    return pip_packages(Environment(variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}))


def check_traces(sink: Sink, asking: Asking, service: str) -> None:
    """Check that each way to ask has one whole trace, and that who wants none, or has no key, gets no more."""
    unsampled, chosen = uuid4().hex, {way: sampled() for way in _WAYS}
    refused, _, headers = sampled()
    httpx.post(asking.client.base_url.join("/score"), json={}, headers=headers)
    for way, (_, _, headers) in chosen.items():
        asking.ask(way, traceparent=f"00-{unsampled}-{'1' * 16}-00")
        asking.ask(way, **headers)
    for way, (trace, parent, _) in chosen.items():
        names = {way, *_TRITONS, *(_SCORERS if way == "score" else ())}
        for _ in range(TRIES):
            if comes_whole(sink, trace, names):
                break
            trace, parent, headers = sampled()
            asking.ask(way, **headers)
        spans = sink.trace(trace, *names)
        assert len(sink.of(trace)) == len(names), f"{way}: {sorted(span.name for span in sink.of(trace))}"
        assert spans[way].parent == parent
        check_times(spans, *_WAYS[way])
        assert {name: span.service for name, span in spans.items()} == {
            way: f"{service}-door",
            **dict.fromkeys(_TRITONS, f"{service}-triton"),
            **dict.fromkeys(_SCORERS if way == "score" else (), f"{service}-scorer"),
        }
    assert {span.name for span in sink.of(refused)} <= {"score"}
    assert sink.of(unsampled) == []


def comes_whole(sink: Sink, trace: str, names: set[str]) -> bool:
    """Tell whether all spans of a trace come: of some 100 requests over gRPC, Triton loses those of one."""
    with contextlib.suppress(AssertionError):
        return eventually(lambda: names <= {span.name for span in sink.of(trace)}, seconds=_COMES_SECONDS)
    return False


def check_that_nobody_waits(sink: Sink, asking: Asking) -> None:
    """Check that no request waits for a collector that hangs."""
    sink.hangs.set()
    asked = sink.asked
    assert max(asking.for_seconds(_HANGS_SECONDS)) < _EXPORT_SECONDS
    assert sink.asked > asked, "nobody has tried to send a span"


def check_that_nobody_misses_it(url: str, asking: Asking) -> None:
    """Check that no request waits for a collector that is down, and that spans come again once it is back."""
    assert max(asking.for_seconds(_DOWN_SECONDS)) < _EXPORT_SECONDS
    where = urlsplit(url)
    with collector(where.port or 0, where.hostname or "") as sink:
        names = {"score", *_SCORERS, *_TRITONS}

        def comes_again() -> bool:
            trace, _, headers = sampled()
            asking.ask("score", **headers)
            return comes_whole(sink, trace, names)

        assert any(comes_again() for _ in range(TRIES))
