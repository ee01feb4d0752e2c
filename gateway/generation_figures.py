"""How well each generation serves: requests, errors and latencies out of Envoy's statistics.

Envoy counts from its start. The figures of an interval are the difference of two snapshots; snapshots of several Envoys
add up. An Envoy that started in between makes a difference below zero, and `since` says so.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import Self

from common.errors import UserError

FIGURES_PATH = "/figures"  # on the statistics listener
_FILTER = (
    r"^cluster\.(triton|triton_grpc|scorer)(-candidate|-mirror)?\."
    r"(upstream_rq_(time|completed|5xx|(pending|active)_overflow)|upstream_cx_none_healthy|endpoint\..*rq_error)$"
)
FIGURES_QUERY = f"/stats?format=json&histogram_buckets=detailed&filter={_FILTER}"

Role = Literal["serving", "candidate", "mirror"]
_ROLES: tuple[Role, ...] = ("serving", "candidate", "mirror")
_NAME = re.compile(r"cluster\.(triton|triton_grpc|scorer)(?:-(candidate|mirror))?\.(.*)")


class FiguresError(UserError):
    """Two snapshots have no difference: an Envoy started anew between them."""


@dataclass(frozen=True)
class Figures:
    """What one generation did.

    Attributes:
        requests: Requests with an answer, Envoy's own answers (503, 504) for the generation among them.
        errors: Those with an HTTP status from 500 on, and gRPC calls with a status that stands for one (`INTERNAL`,
            `UNAVAILABLE`, `UNKNOWN`, ...; not `INVALID_ARGUMENT`). A gRPC attempt that Envoy retries counts too.
        dropped: Copies that Envoy did not send because too many were under way. They are no requests.
        milliseconds: How many answers took how long, by the bucket's lower bound and width: from the last byte of the
            request to the last byte of the answer. A bucket is at most a tenth of its bound wide.
    """

    requests: int = 0
    errors: int = 0
    dropped: int = 0
    milliseconds: Counter[tuple[float, float]] = field(default_factory=Counter)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.requests + other.requests,
            self.errors + other.errors,
            self.dropped + other.dropped,
            self.milliseconds + other.milliseconds,
        )

    def since(self, before: Figures) -> Figures:
        """Return what happened after `before`.

        Raises:
            FiguresError: A counter went back.
        """
        times = Counter(self.milliseconds)
        times.subtract(before.milliseconds)
        requests, errors = self.requests - before.requests, self.errors - before.errors
        dropped = self.dropped - before.dropped
        if min((requests, errors, dropped, *times.values())) < 0:
            raise FiguresError(
                "envoy: its counters went back, so it started anew meanwhile; measure the interval again"
            )
        return Figures(requests, errors, dropped, +times)

    @property
    def error_rate(self) -> float:
        """Return the share of the requests that failed, from 0 to 1; 0 where there was none."""
        return self.errors / self.requests if self.requests else 0.0

    def percentile(self, percent: float) -> float | None:
        """Return the milliseconds within which so many percent of the answers came; None where none came."""
        wanted, seen = self.milliseconds.total() * percent / 100, 0
        for (bound, width), count in sorted(self.milliseconds.items()):
            if count and seen + count >= wanted:
                return bound + width * max(wanted - seen, 0) / count
            seen += count
        return None


@dataclass(frozen=True)
class Snapshot:
    """The figures of each role since the start of one Envoy, or of several."""

    serving: Figures = field(default_factory=Figures)
    candidate: Figures = field(default_factory=Figures)
    mirror: Figures = field(default_factory=Figures)

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read what an Envoy answers to `FIGURES_PATH`, or to `FIGURES_QUERY` on its admin socket."""
        counts: dict[str, Counter[str]] = {role: Counter() for role in _ROLES}
        times: dict[str, Counter[tuple[float, float]]] = {role: Counter() for role in _ROLES}
        for stat in json.loads(text)["stats"]:
            if "histograms" in stat:
                for histogram in stat["histograms"].get("details", []):
                    if (found := _NAME.fullmatch(histogram["name"])) is not None:
                        for bucket in histogram["totals"]:
                            key = (float(bucket["lower_bound"]), float(bucket["width"]))
                            times[found[2] or "serving"][key] += int(bucket["count"])
            elif (found := _NAME.fullmatch(stat["name"])) is not None:
                role = found[2] or "serving"
                for name, factor in _counted(found[1], role, found[3]).items():
                    counts[role][name] += factor * int(stat["value"])
        return cls(*(_figures(counts[role], times[role]) for role in _ROLES))

    def __add__(self, other: Snapshot) -> Snapshot:
        return Snapshot(self.serving + other.serving, self.candidate + other.candidate, self.mirror + other.mirror)

    def since(self, before: Snapshot) -> Snapshot:
        """Return what happened after `before`; the errors are those of `Figures.since`."""
        return Snapshot(
            self.serving.since(before.serving),
            self.candidate.since(before.candidate),
            self.mirror.since(before.mirror),
        )


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up the snapshots of several Envoys.

    Take the difference of each Envoy first: an Envoy that started anew then shows.
    """
    return sum(snapshots, Snapshot())


def _figures(count: Counter[str], times: Counter[tuple[float, float]]) -> Figures:
    return Figures(count["requests"], count["errors"], count["dropped"], times)


def _counted(cluster: str, role: str, stat: str) -> dict[str, int]:
    """Name the figures that a counter adds to, and those that it is taken from."""
    grpc = cluster == "triton_grpc"
    if stat == "upstream_rq_completed":
        return {"requests": 1}
    if stat in ("upstream_rq_pending_overflow", "upstream_rq_active_overflow"):
        # Envoy answers these itself with 503: to a client that is an error, to a copy it is nothing. An endpoint
        # counts those of the second kind.
        unseen = grpc and stat == "upstream_rq_pending_overflow"
        if role == "mirror":
            return {"dropped": 1, "requests": -1, "errors": 0 if unseen else -1}
        return {"errors": 1} if unseen else {}
    # HTTP knows no error of gRPC: its endpoints do, and the errors that no endpoint saw come on top.
    if grpc:
        return {"errors": 1} if stat.endswith(".rq_error") or stat == "upstream_cx_none_healthy" else {}
    return {"errors": 1} if stat == "upstream_rq_5xx" else {}
