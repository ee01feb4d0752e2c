"""A rollout's verdict on target `node-pool`, on versions with a planted fault and on good ones: `tests.verdicts`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from targets.errors import ServiceError
from tests.cluster.canary import CanaryOf
from tests.cluster.conftest import Built
from tests.cluster.service import Service
from tests.cluster.test_canary import GOLDEN
from tests.verdicts import GATES, PLANTED, SHORT, STEPS, TALLIES, Tally

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "gates: good": (GATES, "newer", ""),
    "gates: perturbed": (GATES, "perturbed", "replay (and performance )?refused"),
    "steps: good": (STEPS, "newer", ""),
    "steps: good, colder": (STEPS, "colder", ""),
    "steps: sleeps 30 ms": (STEPS, "slow", "refused generation"),
    "steps: fails 5 %": (STEPS, "failing", "refused generation"),
}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("case", CASES)
def test_a_rollout_tells_good_versions_from_bad_ones(
    case: str, service: Service, built: Built, tmp_path: Path, rollout_runs: int
) -> None:
    if rollout_runs == 1 and case not in SHORT["node-pool"]:
        pytest.skip("make soak-rollouts runs this case")
    rollout, image, refused = CASES[case]
    canary, tally = CanaryOf(service, tmp_path), TALLIES.setdefault(f"node-pool, {case}", Tally())
    for _ in range(rollout_runs):
        said = "passed"
        with service.hammered(built.good[0], GOLDEN["request"]) as counted:
            try:
                canary.up(getattr(built, image), **rollout)
            except ServiceError as error:
                said = str(error)
        right = bool(re.search(refused, said)) if refused else said == "passed"
        tally.runs += 1
        tally.right += right
        tally.requests += sum(counted[0]["answered"]) + len(counted[0]["failures"])
        tally.lost += [line for line in counted[0]["failures"] if not (image == "failing" and PLANTED in line)]
        if not right:
            tally.wrong.append(said)
        assert canary.is_gone()
    assert tally.right == tally.runs, "\n".join(tally.wrong)
    assert not tally.lost, Counter(tally.lost)
