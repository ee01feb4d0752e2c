"""How long `/` takes while the only worker is in a run() of three seconds, on a new connection each time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx

__all__ = ["RUN_SECONDS", "measure"]

RUN_SECONDS = 3
_ASKED = 20
_STARTED_SECONDS = 0.3  # by then run() is at work


def measure(url: str, headers: Mapping[str, str]) -> list[float]:
    """Milliseconds of each `/` that was asked for before run() had ended; at least one."""

    def score(seconds: int) -> int:
        return httpx.post(f"{url}/score", content=str(seconds), headers=headers, timeout=60).status_code

    taken: list[float] = []
    # One for all: each new client would read the machine's certificates. No connection is used twice.
    limits = httpx.Limits(max_keepalive_connections=0)
    with ThreadPoolExecutor(6) as pool, httpx.Client(headers=headers, timeout=60, limits=limits) as client:
        # What stands before the server has connections to the worker then, and keeps them.
        assert set(pool.map(score, [0] * 12)) == {200}
        busy = pool.submit(score, RUN_SECONDS)
        time.sleep(_STARTED_SECONDS)
        while not busy.done() and len(taken) < _ASKED:
            started = time.perf_counter()
            client.get(f"{url}/").raise_for_status()
            taken.append(1000 * (time.perf_counter() - started))
        busy.result()
    return taken
