"""The watch: it reads the metrics again and again, and keeps what the page shows."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from common.errors import UserError
from operate.dashboard.figures import figures
from operate.dashboard.samples import Samples
from targets.contract import OpenDoor
from targets.errors import ServiceError

__all__ = ["Watch", "read_metrics"]

EVERY_SECONDS = 2.0
KEPT = 150
WINDOW_SECONDS = 30.0
_NO_METRICS = (ValueError, IndexError)  # what the parser raises
# Envoy has thousands of statistics, and is asked for those that the page shows.
_SHOWN = r"^(front_door\.(requests|milliseconds)|http\.front_door\.downstream_rq_active$)"


@dataclass(frozen=True)
class _Point:
    """A moment in the pictures."""

    time: float
    requests: Mapping[str, float]
    latency: Mapping[str, float | None]
    models: list[dict[str, Any]]


def read_metrics(port: int) -> tuple[str, str]:
    """Read the metrics of a front door and of what it leads to.

    Raises:
        ServiceError: Envoy does not answer at the port.
    """
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=address, trust_env=False, timeout=5) as client:
        try:
            # Without `usedonly`: Envoy marks a series unused long before it forgets it. Hidden meanwhile, the series
            # would come back with all that it ever counted, as if that were new.
            envoy = client.get("/stats/prometheus", params={"filter": _SHOWN})
            envoy.raise_for_status()
        except httpx.HTTPError as error:
            raise ServiceError(
                f"the front door's metrics at {address} do not answer ({error}); see `make status`, and `make up`"
            ) from None
        try:
            served = client.get("/metrics")
        except httpx.HTTPError:
            return envoy.text, ""
    # Without Triton, or while it starts, something else answers here.
    return envoy.text, served.text if served.status_code == httpx.codes.OK else ""


class Watch:
    """What was seen of a service, the newest last.

    Args:
        door: Finds the service's front door, which may move.
    """

    def __init__(self, door: Callable[[], OpenDoor]) -> None:
        self._door = door
        self._lock = threading.Lock()
        self._samples: deque[Samples] = deque(maxlen=round(WINDOW_SECONDS / EVERY_SECONDS) + 1)
        self._points: deque[_Point] = deque(maxlen=KEPT)
        self._shown: dict[str, Any] = {}
        self._over = threading.Event()

    def look(self) -> None:
        """Read the metrics once.

        Raises:
            ServiceError: The service is gone, or its front door does not answer with metrics.
        """
        door = self._door()
        samples = _samples(door.statistics_port)
        before = self._samples[-1] if self._samples else samples
        step = figures(samples, before)
        window = figures(samples, self._samples[0] if self._samples else samples)
        shown = {"serving": door.serving, "shares": door.shares, "problem": "", **asdict(window)}
        with self._lock:
            self._samples.append(samples)
            self._points.append(_Point(time.time(), step.requests, step.latency, step.models))
            self._shown = shown

    def shown(self) -> dict[str, Any]:
        """Give what the page shows: the figures of the last half minute, and a point every two seconds before."""
        with self._lock:
            return {**self._shown, "points": [asdict(point) for point in self._points]}

    def start(self) -> None:
        """Go on looking, in a thread of its own, until `stop`."""
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            try:
                self.look()
            except Exception as error:  # the next look may see again
                problem = str(error) if isinstance(error, UserError) else f"the metrics cannot be read: {error!r}"
                with self._lock:
                    self._shown = {**self._shown, "problem": problem}


def _samples(port: int) -> Samples:
    now = time.monotonic()
    envoy, served = read_metrics(port)
    try:
        return Samples.read(now, envoy, served)
    except _NO_METRICS:
        pass  # without Triton, an entry script answers at /metrics, with what it likes
    try:
        return Samples.read(now, envoy)
    except _NO_METRICS:
        raise ServiceError(
            f"http://127.0.0.1:{port}/stats/prometheus answers with other than metrics; see `make status`"
        ) from None
