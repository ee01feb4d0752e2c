"""The slowdown: how many times longer the new generation takes than the old one, from rounds that measured both.

Each round gives a ratio of p95s. A ratio is noisy, and its noise falls on both generations alike: the logarithms of the
ratios lie evenly about that of the true one. For such numbers statistics has the signed-rank test of Wilcoxon: it needs
no other model of the noise, and a few disturbed rounds, however far off, move its result little. This module takes the
test's estimate (Hodges and Lehmann: the median over the means of all pairs of rounds) and its interval.

    limit ─────────┐
      ├──●──┤      │              passed
           ├──●────┼──┤           passed: the rounds do not show that it is too slow
                   │ ├──●──┤      refused

Where the machine has much other work, answers wait for a core, and the wait hides a generation's own time. So the
rounds are judged as a whole, and the quieter half and quarter of them too: those in which both p95s together are low,
which prefers neither generation. The strongest evidence counts, and each of the three has a third of the doubt.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

DOUBT = 0.05
"""The chance to refuse a version whose true slowdown is just the limit; one that is well below has nearly none."""

_SHARES = (1.0, 0.5, 0.25)
_FEWEST = 8  # rounds of a half or a quarter
_EXACT = 50


@dataclass(frozen=True)
class Slowdown:
    """A ratio, and the interval in which the rounds leave the true one.

    Too few rounds have no such interval: it then reaches from the least ratio of a round to the largest.
    """

    ratio: float
    low: float
    high: float

    def exceeds(self, limit: float) -> bool:
        """Tell whether the rounds show that the new generation is slower than the limit allows."""
        return self.low > limit


def slowdown(old: Sequence[float | None], new: Sequence[float | None]) -> Slowdown | None:
    """Compare the p95s of rounds; None where no round has both."""
    logs = [(math.log(before), math.log(after)) for before, after in zip(old, new, strict=True) if before and after]
    if not logs:
        return None
    quiet_first = sorted(logs, key=sum)
    counts = [count for share in _SHARES if (count := int(share * len(logs))) >= _FEWEST] or [len(logs)]
    ratios = [[math.exp(after - before) for before, after in quiet_first[:count]] for count in counts]
    return max((estimate(some, DOUBT / len(counts)) for some in ratios), key=lambda found: found.low)


def estimate(ratios: Sequence[float], doubt: float) -> Slowdown:
    """Estimate the true ratio from those of rounds; the interval begins above it with a chance of `doubt` at most."""
    logs = [math.log(ratio) for ratio in ratios]
    means = sorted((one + other) / 2 for index, one in enumerate(logs) for other in logs[index:])
    outside = _outside(len(logs), doubt)
    return Slowdown(*map(math.exp, (median(means), means[outside], means[-1 - outside])))


def _outside(rounds: int, doubt: float) -> int:
    """Give how many of the means lie beyond each end of the interval, by the distribution of the signed ranks' sum."""
    if rounds > _EXACT:  # it is then a normal one
        mean = rounds * (rounds + 1) / 4
        deviation = math.sqrt(mean * (2 * rounds + 1) / 6)
        return int(mean + deviation * NormalDist().inv_cdf(doubt))
    ways = [1]  # how many choices of ranks have each sum
    for rank in range(1, rounds + 1):
        grown = ways + [0] * rank
        for total, count in enumerate(ways):
            grown[total + rank] += count
        ways = grown
    below = itertools.accumulate(ways)
    return max(0, sum(count <= doubt * 2.0**rounds for count in below) - 1)
