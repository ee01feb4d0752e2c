"""A load on one generation: so many requests at once, and how long each answer takes."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from serving.proving.client import Client
from serving.proving.plan import Request

_AT_ONCE = 4


@dataclass
class Block:
    """A stretch of load on one generation.

    Attributes:
        concurrency: How many requests are under way at once.
        seconds: How long it lasts.
        answers: The seconds of each answer.
        failed: How many requests failed.
        late: How many of these have no answer in the time that a request has.
        busy: The seconds for which requests are under way, one after the other.
    """

    concurrency: int = 1
    seconds: float = 0.0
    answers: list[float] = field(default_factory=list)
    failed: int = 0
    late: int = 0
    busy: float = 0.0

    @property
    def p95(self) -> float | None:
        """The milliseconds within which 95 of 100 answers came."""
        return percentile(self.answers, 0.95)

    @property
    def throughput(self) -> float:
        """Answers per second while all requests are under way: at its end a block waits for the last ones."""
        return self.concurrency * len(self.answers) / self.busy if self.busy else 0.0


def percentile(seconds: Sequence[float], share: float) -> float | None:
    """Give the milliseconds within which a share of the answers came (nearest rank); None without answers."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000 if ordered else None


def together(blocks: Sequence[Block]) -> Block:
    """Make one block of several."""
    return Block(
        concurrency=blocks[0].concurrency,
        seconds=sum(block.seconds for block in blocks),
        answers=[seconds for block in blocks for seconds in block.answers],
        failed=sum(block.failed for block in blocks),
        late=sum(block.late for block in blocks),
        busy=sum(block.busy for block in blocks),
    )


def answered(client: Client, requests: Sequence[Request], *, seconds: float, serves: bool) -> list[Request]:
    """Leave out the recorded requests to Triton that a generation refuses: their answers were not recorded.

    Args:
        client: Sends each of them once.
        requests: These, and others, which stay.
        seconds: How long; a request that is not answered until then stays.
        serves: Whether the generation has the traffic. What another fails to answer stays: the load is to show that.
    """
    end = time.monotonic() + seconds

    def stays(request: Request) -> bool:
        left = end - time.monotonic()
        if request.to != "triton" or request.recorded is None or left <= 0:
            return True
        answer = client.send(request, left)
        return answer.status < 400 or (answer.failed and not serves)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [request for request, is_kept in zip(requests, pool.map(stays, requests), strict=True) if is_kept]


def load(
    client: Client, requests: Sequence[Request], concurrency: int, *, count: int, seconds: float, first: int = 0
) -> Block:
    """Send `count` requests from so many threads; none begins after `seconds`.

    Each thread has a new connection: a server with several processes hands these out by chance, and a generation that
    got the busier process is not to keep it.

    Args:
        client: Sends them.
        requests: Are sent in turns, beginning with that of number `first`.
        concurrency: How many threads.
        count: How many requests are sent at most.
        seconds: How long.
        first: The number of the first one.
    """
    block, lock, turn = Block(concurrency), threading.Lock(), itertools.count()
    started = end = 0.0

    def start() -> None:
        nonlocal started, end
        started = time.perf_counter()
        end = started + seconds

    barrier = threading.Barrier(concurrency, action=start)

    def ask() -> None:
        client.connect({request.to for request in requests})
        barrier.wait()
        answers: list[float] = []
        failed = late = 0
        last = started
        while time.perf_counter() < end and (number := next(turn)) < count:
            answer = client.send(requests[(first + number) % len(requests)])
            if answer.failed:
                failed += 1
                late += answer.late
            else:
                answers.append(answer.seconds)
            last = time.perf_counter()
        with lock:
            block.answers += answers
            block.failed += failed
            block.late += late
            block.busy += last - started

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    block.seconds = time.perf_counter() - started
    return block
