"""The slowdown: how many times longer the new generation takes than the old one, from rounds that measured both.

Each round gives a ratio of p95s. A ratio is noisy, and its noise falls on both generations alike: the logarithms of the
ratios lie evenly about that of the true one. For such numbers statistics has the signed-rank test of Wilcoxon: it needs
no other model of the noise, and a few disturbed rounds, however far off, move its result little. This module takes the
test's estimate (Hodges and Lehmann: the median over the means of all pairs of rounds) and its interval.

    limit ─────────┐
      ├──●──┤      │              passed
           ├──●────┼──┤           passed: the rounds do not show that it is too slow
                   │ ├──●──┤      refused: nineteen of twenty such intervals begin below the true ratio
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

_DOUBT = 0.05
"""The chance to refuse a version whose true slowdown is just the limit; one that is well below has nearly none."""

_EXACT = 50


@dataclass(frozen=True)
class Slowdown:
    """A ratio, and the interval in which the rounds leave the true one: with nine chances in ten, where they are many.

    Fewer than five rounds have no such interval: it then reaches from the least ratio of a round to the largest.
    """

    ratio: float
    low: float
    high: float

    def exceeds(self, limit: float) -> bool:
        """Tell whether the rounds show that the new generation is slower than the limit allows."""
        return self.low > limit


def slowdown(old: Sequence[float | None], new: Sequence[float | None]) -> Slowdown | None:
    """Compare the p95s of rounds; None where no round has both."""
    ratios = [math.log(after / before) for before, after in zip(old, new, strict=True) if before and after]
    if not ratios:
        return None
    means = sorted((one + other) / 2 for index, one in enumerate(ratios) for other in ratios[index:])
    outside = _outside(len(ratios))
    low, high = means[outside], means[-1 - outside]
    return Slowdown(math.exp(median(means)), math.exp(low), math.exp(high))


def _outside(rounds: int) -> int:
    """Give how many of the means lie beyond each end of the interval, by the distribution of the signed ranks' sum."""
    if rounds > _EXACT:  # it is then a normal one
        mean = rounds * (rounds + 1) / 4
        deviation = math.sqrt(mean * (2 * rounds + 1) / 6)
        return int(mean + deviation * NormalDist().inv_cdf(_DOUBT))
    ways = [1]  # how many choices of ranks have each sum
    for rank in range(1, rounds + 1):
        grown = ways + [0] * rank
        for total, count in enumerate(ways):
            grown[total + rank] += count
        ways = grown
    below = itertools.accumulate(ways)
    return max(0, sum(count <= _DOUBT * 2.0**rounds for count in below) - 1)
