"""The samples of one run of `benchmarks.serving`, by row and concurrency."""

from __future__ import annotations

from typing import Any

from benchmarks.samples import Samples

__all__ = ["DENSENET", "DIGITS", "LOCAL", "PARTS", "PEER_LOCAL", "STATIC", "TRITON_JSON", "Results"]

DIGITS, DENSENET = "digits", "DenseNet-121"
LOCAL, PEER_LOCAL = "ours: scoring only, JSON", "Azure's: scoring only, JSON"
TRITON_JSON = "Triton, JSON"
STATIC = "an answer that Envoy makes up: the load generator's limit"

# Where the time of a request goes, from outside to inside; a part that a row does not pass is zero.
PARTS = {
    "outside_ms": "load generator, kernel, and servers without figures of their own",
    "server_ms": "entry script server: HTTP, parsing, answering, log",
    "script_ms": "script",
    "client_ms": "client of Triton, kernel, Triton's HTTP",
    "queue_ms": "Triton: queue",
    "model_ms": "Triton: model",
}


class Results:
    """What `samples.json` holds."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self._samples: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        for each in found["samples"]:
            self._samples.setdefault((each["model"], each["scenario"], each["concurrency"]), []).append(each)

    def scenarios(self, model: str) -> list[str]:
        """The rows of a model, sorted by name, the load generator's limit last."""
        names = {name for each, name, _ in self._samples if each == model}
        return sorted(names, key=lambda name: (name == STATIC, name.lower()))

    def concurrencies(self, model: str) -> list[int]:
        """The numbers of requests at once."""
        return sorted({concurrency for each, _, concurrency in self._samples if each == model})

    def of(self, model: str, scenario: str, concurrency: int, field: str) -> Samples:
        """One measure of one row at one concurrency."""
        return Samples(tuple(each[field] for each in self._samples[model, scenario, concurrency]))
