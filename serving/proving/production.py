"""How the clients of the front door fare meanwhile: the latency that Envoy counts (its Prometheus metrics)."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping

_METRIC = "envoy_http_downstream_rq_time_bucket"
_BUCKET = re.compile(
    rf'^{_METRIC}\{{[^}}]*envoy_http_conn_manager_prefix="front_door"[^}}]*le="([^"]+)"\}} (\S+)', re.M
)
_FEWEST = 20
_LONGER, _MORE_MS = 1.5, 5.0

Buckets = Mapping[float, float]
"""How many requests took at most so many milliseconds, since Envoy started."""


class Production:
    """Envoy's clients, watched while a load runs.

    Args:
        url: The address of Envoy's metrics.
    """

    def __init__(self, url: str) -> None:
        self._url = f"{url}?filter=downstream_rq_time"
        self._last = self._buckets()
        self._usual = p95(self._last)

    def suffers(self) -> bool:
        """Tell whether clients waited clearly longer since the last look than they did before the load."""
        now = self._buckets()
        since = {most: count - self._last.get(most, 0.0) for most, count in now.items()}
        found = p95(since)
        if found is not None or min(since.values(), default=0.0) < 0:  # else they are too few, and the next look adds
            self._last = now
        return found is not None and self._usual is not None and found > self._usual * _LONGER + _MORE_MS

    def _buckets(self) -> Buckets:
        try:
            with urllib.request.urlopen(self._url, timeout=2) as answer:
                text = answer.read().decode()
        except OSError:  # a front door that restarts: nobody waits there
            return {}
        return {float(most): float(count) for most, count in _BUCKET.findall(text)}


def p95(buckets: Buckets) -> float | None:
    """Estimate the 95th percentile in milliseconds, within its bucket; None with too few requests to tell."""
    total = max(buckets.values(), default=0.0)
    if total < _FEWEST:
        return None
    wanted, below, lower = 0.95 * total, 0.0, 0.0
    for most, count in sorted(buckets.items()):
        if count >= wanted:
            if most == float("inf"):
                return lower
            return lower + (most - lower) * (wanted - below) / max(1.0, count - below)
        below, lower = count, most
    return lower
