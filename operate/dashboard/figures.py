"""What the page shows, out of two moments' samples: rates, latencies, queues, batch sizes. It asks nobody."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.clients import NONE
from gateway.door_metrics import MILLISECONDS, REQUESTS
from operate.dashboard.samples import Sample, Samples

__all__ = ["INFERENCE_ROUTES", "Figures", "Outcomes", "figures", "outcome", "quantile"]

INFERENCE_ROUTES = frozenset({"score", "infer", "generate", "generate_stream", "grpc_infer"})
"""The routes whose latencies stand in the picture of all. A stream of gRPC lasts as long as its client likes."""
_REFUSED = {"401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED"}
_LIMITED = {"429", "RESOURCE_EXHAUSTED"}
_MISTAKEN = {"INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "CANCELLED", "OUT_OF_RANGE", "FAILED_PRECONDITION"}
_COUNT, _BUCKETS = f"{MILLISECONDS}_count", f"{MILLISECONDS}_bucket"
_NOBODY = {NONE: "(unknown)", "": "(no name)"}
"""Without a name are requests that the front door answers before it knows who asks, and all where it asks no key."""
_TRITON = (
    "request_success",
    "request_failure",
    "exec_count",
    "count",
    "queue_duration_us",
    "compute_infer_duration_us",
)


@dataclass(frozen=True)
class Outcomes:
    """How requests ended, a second or in all.

    Attributes:
        answered: By the service, as asked.
        refused: 401 or 403, and the like of gRPC: the client is not known, or may not.
        limited: 429, and the like of gRPC: the client asked for more than its limit.
        mistaken: Other 4xx, and the like of gRPC: the request cannot be answered. A client that went is among them.
        failed: 5xx, and the like of gRPC.
    """

    answered: float = 0
    refused: float = 0
    limited: float = 0
    mistaken: float = 0
    failed: float = 0

    @property
    def total(self) -> float:
        """Return the number of all."""
        return self.answered + self.refused + self.limited + self.mistaken + self.failed


def outcome(status: str, grpc: str = "") -> str:
    """Name the field of `Outcomes` that requests with a status count for; gRPC has one of its own."""
    word = grpc or status
    if word in _REFUSED:
        return "refused"
    if word in _LIMITED:
        return "limited"
    if grpc == "OK" or (not grpc and status.startswith(("1", "2", "3"))):
        return "answered"
    if word in _MISTAKEN or (not grpc and (status.startswith("4") or status in ("", "0"))):
        return "mistaken"
    return "failed"


@dataclass(frozen=True)
class Figures:
    """Everything that the page shows of one moment; each list has mappings that JSON can carry.

    Attributes:
        requests: Each outcome, a second.
        statuses: Requests a second by status.
        latency: p50, p95 and p99 of the inference requests that were sent to a server, in milliseconds.
        active: Requests under way.
        routes: Each route with its requests a second, in all, and latencies.
        clients: Each client with its outcomes a second, and its requests in all.
        generations: Each generation with its requests a second, in all, failures and latencies.
        models: Each version of a model with its requests a second and in all, and their queue, computation and batch.
    """

    requests: Mapping[str, float]
    statuses: Mapping[str, float]
    latency: Mapping[str, float | None]
    active: float
    routes: list[dict[str, Any]]
    clients: list[dict[str, Any]]
    generations: list[dict[str, Any]]
    models: list[dict[str, Any]]


def figures(now: Samples, before: Samples) -> Figures:
    """Compute the figures of the time between two moments.

    What is "in all" is since the start of Envoy or Triton. Envoy forgets a series to which nothing was added for long,
    and later counts it anew.
    """
    added = now.since(before)
    seconds = max(added.seconds, 1e-9)
    statuses: dict[str, float] = {}
    for sample in added.of(REQUESTS):
        if sample.value:
            shown = sample.label("grpc_status") or sample.label("status")
            statuses[shown] = statuses.get(shown, 0) + sample.value / seconds
    buckets = [each for each in _served(added.of(_BUCKETS)) if each.label("route") in INFERENCE_ROUTES]
    return Figures(
        requests=asdict(_outcomes(added.of(REQUESTS), seconds)),
        statuses=dict(sorted(statuses.items())),
        latency=_latency(buckets),
        active=_sum(now.of("envoy_http_downstream_rq_active")),
        routes=_routes(now, added, seconds),
        clients=_clients(now, added, seconds),
        generations=_generations(now, added, seconds),
        models=_models(now, before, added, seconds),
    )


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Estimate a quantile as Prometheus does: within a bucket, values are taken to lie evenly.

    Args:
        buckets: Each bucket's upper bound and the count of all values up to it.
        share: The quantile, from 0 to 1.

    Returns:
        None where there is no value; the highest finite bound where the quantile lies beyond it.
    """
    found = sorted(buckets)
    if not found or not found[-1][1]:
        return None
    wanted, bound, count = share * found[-1][1], 0.0, 0.0
    for upper, until in found:
        if until >= wanted and until > count:
            return bound if math.isinf(upper) else bound + (upper - bound) * (wanted - count) / (until - count)
        bound, count = upper, until
    return bound


def _served(series: Iterable[Sample]) -> list[Sample]:
    """Leave out what the front door answered by itself: refusals take no time, and would hide how long models take."""
    return [sample for sample in series if sample.label("generation")]


def _latency(buckets: Iterable[Sample]) -> dict[str, float | None]:
    counts: dict[float, float] = {}
    for sample in buckets:
        bound = float(sample.label("le"))
        counts[bound] = counts.get(bound, 0) + sample.value
    return {f"p{percent}": quantile(counts.items(), percent / 100) for percent in (50, 95, 99)}


def _outcomes(series: Iterable[Sample], seconds: float) -> Outcomes:
    rates: dict[str, float] = {}
    for sample in series:
        name = outcome(sample.label("status"), sample.label("grpc_status"))
        rates[name] = rates.get(name, 0) + sample.value / seconds
    return Outcomes(**rates)


def _routes(now: Samples, added: Samples, seconds: float) -> list[dict[str, Any]]:
    new, buckets = added.by(_COUNT, "route"), added.by(_BUCKETS, "route")
    return [
        {
            "route": key[0] or "(no HTTP)",
            "requests": _sum(found),
            "rate": _sum(new[key]) / seconds,
            **_latency(_served(buckets.get(key, ()))),
        }
        for key, found in now.by(_COUNT, "route").items()
    ]


def _clients(now: Samples, added: Samples, seconds: float) -> list[dict[str, Any]]:
    new, rows = added.by(REQUESTS, "client"), []
    for key, found in now.by(REQUESTS, "client").items():
        outcomes = _outcomes(new[key], seconds)
        shown = _NOBODY.get(key[0], key[0])
        rows.append({"client": shown, "requests": _sum(found), "rate": outcomes.total, **asdict(outcomes)})
    return rows


def _generations(now: Samples, added: Samples, seconds: float) -> list[dict[str, Any]]:
    new, buckets, rows = added.by(REQUESTS, "generation"), added.by(_BUCKETS, "generation"), []
    for key, found in now.by(REQUESTS, "generation").items():
        if not key[0]:
            continue  # the front door answered by itself
        outcomes = _outcomes(new[key], seconds)
        inference = [sample for sample in buckets.get(key, ()) if sample.label("route") in INFERENCE_ROUTES]
        rows.append(
            {
                "generation": key[0],
                "requests": _sum(found),
                "rate": outcomes.total,
                "failed": outcomes.failed,
                **_latency(inference),
            }
        )
    return sorted(rows, key=lambda row: row["generation"].rjust(9, "0"), reverse=True)


def _models(now: Samples, before: Samples, added: Samples, seconds: float) -> list[dict[str, Any]]:
    of = "model", "version"
    waiting = now.by("nv_inference_pending_request_count", *of)
    # A Triton that did not answer before has added nothing: its models' series are there from the start.
    seen = bool(before.of("nv_inference_request_success"))
    new = {metric: added.by(f"nv_inference_{metric}", *of) if seen else {} for metric in _TRITON}
    rows = []
    for key, found in now.by("nv_inference_request_success", *of).items():
        count = {metric: _sum(groups.get(key, ())) for metric, groups in new.items()}
        answered, computed = count["request_success"], count["exec_count"]
        rows.append(
            {
                "model": key[0],
                "version": key[1],
                "requests": _sum(found),
                "rate": answered / seconds,
                "failed": count["request_failure"] / seconds,
                "queue": count["queue_duration_us"] / answered / 1000 if answered else None,
                "compute": count["compute_infer_duration_us"] / answered / 1000 if answered else None,
                "batch": count["count"] / computed if computed else None,
                "waiting": _sum(waiting.get(key, ())),
            }
        )
    return rows


def _sum(series: Sequence[Sample]) -> float:
    return sum(sample.value for sample in series)
