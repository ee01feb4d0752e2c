"""Performance: a load on both generations, in turns, so that a busy machine is as busy for the one as for the other.

    warm-up   old, new
    round 1   old ▕████▏ new ▕████▏
    round 2   new ▕████▏ old ▕████▏
    ...

Each figure is the median of its rounds: most of them decide, and never one that was disturbed. The slowdown, a ratio of
two noisy figures, needs more: it is what four of five rounds show at least.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from serving.proving.client import Client
from serving.proving.plan import Performance, Request
from serving.proving.production import Production
from serving.proving.verdict import Figure, Unit, Verdict

_ROUNDS = 20
_SURE = 0.2  # the share of rounds that may show less than the slowdown
_SHORTEST_SECONDS = 0.2
_WARM_UP = 20  # requests at least
_MORE_FAILURES = 0.01
_TOLD_SECONDS = 5.0


@dataclass
class Block:
    """A stretch of load on one generation: the seconds of each answer, and how many requests failed."""

    seconds: float = 0.0
    answers: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def p95(self) -> float | None:
        """The milliseconds within which 95 of 100 answers came."""
        return percentile(self.answers, 0.95)

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return len(self.answers) / self.seconds if self.seconds else 0.0


def percentile(seconds: Sequence[float], share: float) -> float | None:
    """Give the milliseconds within which a share of the answers came (nearest rank); None without answers."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else None


def performance(
    wanted: Performance,
    requests: Sequence[Request],
    clients: tuple[Client | None, Client],
    verdict: Verdict,
    production: Production | None,
    *,
    say: Callable[[str], None],
) -> None:
    """Load the generations, and add what is found to the verdict.

    Args:
        wanted: The load and its limits.
        requests: What is sent, over and over.
        clients: The clients of the old generation, where there is one, and of the new one.
        verdict: Gets figures and notes.
        production: How the front door's clients fare: the load halves whenever they wait longer.
        say: Is told the progress.
    """
    old, new = clients
    both = [client for client in clients if client is not None]
    rounds = max(1, min(_ROUNDS, int(wanted.seconds / _SHORTEST_SECONDS)))
    length = wanted.seconds / rounds
    concurrency, told = wanted.concurrency, time.monotonic()
    for client in both:
        load(client, requests, concurrency, most=max(_WARM_UP, 2 * concurrency), seconds=wanted.seconds)
    blocks: dict[Client, list[Block]] = {client: [] for client in both}
    for number in range(rounds):
        for client in both if number % 2 == 0 else reversed(both):
            blocks[client].append(load(client, requests, concurrency, seconds=length))
        if production is not None and production.suffers() and concurrency > 1:
            concurrency //= 2
            verdict.notes.append(f"the load went down to {concurrency} at once: the front door's clients waited longer")
        if time.monotonic() - told > _TOLD_SECONDS:
            told = time.monotonic()
            say(f"performance: round {number + 1} of {rounds}")
    verdict.figures += judged(wanted, blocks[old] if old is not None else [], blocks[new])


def judged(wanted: Performance, old: Sequence[Block], new: Sequence[Block]) -> list[Figure]:
    """Judge the rounds of a load: `old` is empty where nobody serves yet."""
    before, after = _median([block.p95 for block in old]), _median([block.p95 for block in new])
    figures = [_at_most("p95", "ms", before, after, wanted.p95_ms)]
    throughput = median(block.throughput for block in new)
    figures.append(
        Figure(
            step="performance",
            name="throughput",
            unit="requests/s",
            old=median(block.throughput for block in old) if old else None,
            new=throughput,
            limit=wanted.min_throughput,
            passed=wanted.min_throughput is None or throughput >= wanted.min_throughput,
        )
    )
    failures = _failures(old) if old else None
    figures.append(
        _at_most("requests that fail", "share", failures, _failures(new), (failures or 0.0) + _MORE_FAILURES)
    )
    if wanted.max_slowdown is not None:
        figures.append(_at_most("slowdown of p95", "ratio", None, slowdown(old, new), wanted.max_slowdown))
    return figures


def slowdown(old: Sequence[Block], new: Sequence[Block]) -> float | None:
    """Give how many times longer the new generation takes at least: in four of five rounds, and in all together.

    An equal version shows 1.2 in single rounds of a busy machine, and in the median of few rounds too.
    """
    ratios = [after.p95 / before.p95 for before, after in zip(old, new, strict=True) if before.p95 and after.p95]
    together = [percentile([s for block in blocks for s in block.answers], 0.95) for blocks in (old, new)]
    if not ratios or not together[0] or not together[1]:
        return None
    return min(sorted(ratios)[int(_SURE * len(ratios))], together[1] / together[0])


def load(
    client: Client, requests: Sequence[Request], concurrency: int, *, seconds: float, most: int | None = None
) -> Block:
    """Send requests from so many threads for `seconds`, or until `most` are sent."""
    block, lock, turn = Block(), threading.Lock(), itertools.count()
    started = time.perf_counter()
    end = started + seconds

    def ask() -> None:
        answers: list[float] = []
        failed = 0
        while time.perf_counter() < end:
            number = next(turn)
            if most is not None and number >= most:
                break
            answer = client.send(requests[number % len(requests)])
            if answer.failed:
                failed += 1
            else:
                answers.append(answer.seconds)
        with lock:
            block.answers += answers
            block.failed += failed

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    block.seconds = time.perf_counter() - started
    return block


def _at_most(name: str, unit: Unit, old: float | None, new: float | None, limit: float | None) -> Figure:
    passed = limit is None or (new is not None and new <= limit)
    return Figure(step="performance", name=name, unit=unit, old=old, new=new, limit=limit, passed=passed)


def _failures(blocks: Sequence[Block]) -> float:
    failed = sum(block.failed for block in blocks)
    return failed / max(1, failed + sum(len(block.answers) for block in blocks))


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
