"""Performance: a load on both generations, in turns, so that a busy machine is as busy for the one as for the other.

    warm-up   old, new
    round 1   old ▕████▏ new ▕████▏
    round 2   new ▕████▏ old ▕████▏       the same requests to both: some 50 ms, or ten answers
    ...                                   until each had its seconds

The slowdown is judged by what the rounds show together, see `serving.proving.slowdown`. The other figures are medians
of up to twenty stretches of the load, so that a disturbed one does not decide. Where production suffers, the load goes
down. What was measured then says nothing about limits at full load: `minThroughput` and `p95Ms` are judged by the
rounds at full concurrency, and where these are too few, by none of them.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from serving.proving.client import Client
from serving.proving.load import Block, load, together
from serving.proving.plan import Performance, Request
from serving.proving.production import Production
from serving.proving.slowdown import slowdown
from serving.proving.verdict import Figure, Unit, Verdict

_ROUND_SECONDS = 0.05
_ROUNDS = 200
_ANSWERS = 10  # of a round: the largest of so few is about their p95
_FEWEST_ROUNDS = 40  # for the sake of which a round has fewer answers
_STRETCHES = 20
_STRETCH_ANSWERS = 20
_FULL_SHARE = 0.2  # of the seconds, at full concurrency, for limits at full load
_WARM_UP = 20  # requests at least
_MORE_FAILURES = 0.01
_LOOK_SECONDS = 0.5
_TOLD_SECONDS = 5.0


@dataclass(frozen=True)
class Rounds:
    """What was measured: a block of each round, of the old generation none where nobody serves yet."""

    old: Sequence[Block]
    new: Sequence[Block]

    def at(self, concurrency: int) -> Rounds:
        """Give the rounds with so many requests at once."""
        return Rounds(*([block for block in blocks if block.concurrency == concurrency] for blocks in self._both))

    @property
    def seconds(self) -> float:
        """For how long each generation had a load."""
        return sum(block.seconds for block in self.new)

    @property
    def _both(self) -> tuple[Sequence[Block], Sequence[Block]]:
        return self.old, self.new


def performance(
    wanted: Performance,
    requests: Sequence[Request],
    clients: tuple[Client | None, Client],
    verdict: Verdict,
    production: Production | None,
    *,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Load the generations, and add what is found to the verdict.

    Args:
        wanted: The load and its limits.
        requests: What is sent, over and over.
        clients: The clients of the old generation, where there is one, and of the new one.
        verdict: Gets figures and notes.
        production: How the front door's clients fare: the load halves whenever they wait longer.
        seconds: After these everything is over, also with a generation that does not answer.
        say: Is told the progress.
    """
    old, new = clients
    both = [client for client in clients if client is not None]
    end = time.monotonic() + seconds - new.timeout
    blocks: dict[Client, list[Block]] = {client: [] for client in both}
    concurrency, sent = wanted.concurrency, 0
    for client in both:
        count = max(_WARM_UP, 2 * concurrency)
        blocks[client].append(
            load(client, requests, concurrency, count=count, seconds=min(wanted.seconds, end - time.monotonic()))
        )
    started = told = looked = time.monotonic()
    end = min(end, started + len(both) * wanted.seconds)
    while len(blocks[new]) <= _ROUNDS and (time.monotonic() < end or len(blocks[new]) == 1):
        if production is not None and time.monotonic() - looked > _LOOK_SECONDS:
            looked = time.monotonic()
            if production.suffers() and concurrency > 1:
                concurrency //= 2
                verdict.notes.append(
                    f"the load went down to {concurrency} at once: the front door's clients waited longer"
                )
        count = _count(wanted, concurrency, [blocks[client] for client in both])
        for client in both if len(blocks[new]) % 2 else reversed(both):
            blocks[client].append(
                load(client, requests, concurrency, count=count, seconds=max(1.0, wanted.seconds / 4), first=sent)
            )
        sent += count
        if time.monotonic() - told > _TOLD_SECONDS:
            told = time.monotonic()
            say(f"performance: {told - started:.0f} s of {len(both) * wanted.seconds:.0f} s")
    late = sum(block.late for block in blocks[new])
    if late:
        verdict.notes.append(
            f"{late} requests to the new version had no answer within {new.timeout:g} s, and count as failed"
        )
    rounds = Rounds(blocks[old][1:] if old is not None else [], blocks[new][1:])
    figures, notes = judged(wanted, rounds)
    verdict.figures += figures
    verdict.notes += notes


def _count(wanted: Performance, concurrency: int, blocks: Sequence[Sequence[Block]]) -> int:
    """Decide how many requests a round sends to each generation, by the rate of the slower one until now."""
    rate = min(sum(len(block.answers) for block in some) / sum(block.seconds for block in some) for some in blocks)
    length = max(_ROUND_SECONDS, wanted.seconds / _ROUNDS)
    return math.ceil(max(concurrency, rate * length, min(_ANSWERS, rate * wanted.seconds / _FEWEST_ROUNDS)))


def judged(wanted: Performance, rounds: Rounds) -> tuple[list[Figure], list[str]]:
    """Judge the rounds of a load.

    Returns:
        The figures, and notes on what could not be judged.
    """
    notes = []
    full = rounds.at(wanted.concurrency)
    is_full = full.seconds >= _FULL_SHARE * rounds.seconds
    shown = full if is_full else rounds
    limits = {"p95Ms": wanted.p95_ms, "minThroughput": wanted.min_throughput}
    if not is_full:
        for name in [name for name, limit in limits.items() if limit is not None]:
            notes.append(
                f"{name} is not judged: the load was not at {wanted.concurrency} at once for long enough. Deploy when "
                "there is less traffic, or lower rollout.performance.concurrency"
            )
        limits = dict.fromkeys(limits)
    old, new = _stretches(shown.old), _stretches(shown.new)
    before, after = (_median([block.p95 for block in blocks]) for blocks in (old, new))
    throughput = _median([block.throughput for block in new]) or 0.0
    least = limits["minThroughput"]
    failures = _failures(rounds.old) if rounds.old else None
    figures = [
        _at_most("p95", "ms", before, after, limits["p95Ms"]),
        Figure(
            step="performance",
            name="throughput",
            unit="requests/s",
            old=_median([block.throughput for block in old]),
            new=throughput,
            limit=least,
            passed=least is None or throughput >= least,
        ),
        _at_most("requests that fail", "share", failures, _failures(rounds.new), (failures or 0.0) + _MORE_FAILURES),
    ]
    if wanted.max_slowdown is not None and rounds.old:
        figure, note = _slowdown(rounds, wanted.max_slowdown)
        figures.append(figure)
        notes += [note] if note else []
    return figures, notes


def _slowdown(rounds: Rounds, limit: float) -> tuple[Figure, str]:
    found = slowdown([block.p95 for block in rounds.old], [block.p95 for block in rounds.new])
    if found is None:  # one of them gave no answer at all
        return _at_most("slowdown of p95", "ratio", None, None, limit), ""
    figure = Figure(
        step="performance",
        name="slowdown of p95",
        unit="ratio",
        new=found.ratio,
        low=found.low,
        high=found.high,
        limit=limit,
        passed=not found.exceeds(limit),
    )
    if found.low <= limit < found.high:
        answers = sum(len(block.answers) for block in rounds.new)
        return figure, (
            f"the slowdown may be above maxSlowdown: {answers} answers of the new version do not show it; raise "
            "rollout.performance.seconds to know"
        )
    return figure, ""


def _stretches(blocks: Sequence[Block]) -> list[Block]:
    """Put the blocks of a load together, so that each part has enough answers for a p95."""
    answers = sum(len(block.answers) for block in blocks)
    count = max(1, min(_STRETCHES, len(blocks), answers // _STRETCH_ANSWERS))
    ends = [round(number * len(blocks) / count) for number in range(count + 1)]
    return [together(blocks[start:end]) for start, end in itertools.pairwise(ends) if start < end]


def _at_most(name: str, unit: Unit, old: float | None, new: float | None, limit: float | None) -> Figure:
    passed = limit is None or (new is not None and new <= limit)
    return Figure(step="performance", name=name, unit=unit, old=old, new=new, limit=limit, passed=passed)


def _failures(blocks: Sequence[Block]) -> float:
    failed = sum(block.failed for block in blocks)
    return failed / max(1, failed + sum(len(block.answers) for block in blocks))


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
