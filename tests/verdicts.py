"""The verdict of a rollout on versions with a planted fault, and on good ones, while clients count what they get.

`make soak-rollouts RUNS=20` runs each of `CASES` so many times on targets process and docker, and some of them on a
cluster (`tests/cluster/test_verdicts.py`). The tests run `SHORT` once.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from tests.e2e.project import Project, hammering
from tests.waiting import eventually

GOLDEN = {"request": {"x": 1}, "response": {"y": 2.0}}
GOOD = """
import itertools, json, time
calls = itertools.count(1)
def init(): pass
def run(data):
    return {"y": json.loads(data)["x"] * 2.0}
"""
SLOW = GOOD.replace("    return", "    time.sleep(0.03)\n    return")
PERTURBED = GOOD.replace("2.0", "2.0001")  # near enough for the golden answer, and not for a replay
FAILS = GOOD.replace("    return", "    if next(calls) % 20 == 10:\n        raise RuntimeError('planted')\n    return")
COLDER = GOOD.replace("    return", "    if next(calls) <= 3:\n        time.sleep(0.2)\n    return")

GATES = {
    "replay": {"requests": 20, "tolerance": 1e-5},
    "performance": {"concurrency": 2, "seconds": 4, "maxSlowdown": 1.5},
}
STEPS = {
    "steps": [{"mirror": 50, "pause": "4s"}, {"setWeight": 30, "pause": "6s"}],
    "analysis": {"maxErrorRate": 0.01, "maxSlowdown": 2.0, "minRequests": 30},
}
CASES = {
    "gates: good": (GATES, GOOD, ""),
    "gates: good, colder": (GATES, COLDER, ""),
    "gates: sleeps 30 ms": (GATES, SLOW, "performance refused"),
    "gates: perturbed": (GATES, PERTURBED, "replay (and performance )?refused"),
    "gates: fails 5 %": (GATES, FAILS, "refused generation"),
    "steps: good": (STEPS, GOOD, ""),
    "steps: good, colder": (STEPS, COLDER, ""),
    "steps: sleeps 30 ms": (STEPS, SLOW, "refused generation"),
    "steps: fails 5 %": (STEPS, FAILS, "refused generation"),
}
SHORT = {
    "process": ("gates: good, colder", "gates: perturbed", "steps: good", "steps: sleeps 30 ms", "steps: fails 5 %"),
    "docker": ("gates: perturbed", "steps: good"),
    "node-pool": ("gates: perturbed",),
}
"""The cases that one run has: tests of gates and of steps have the others, in another form."""
PLANTED = "An unexpected error occurred in scoring script"


@dataclass
class Tally:
    """What a case showed: right verdicts of so many, and the clients' requests."""

    runs: int = 0
    right: int = 0
    requests: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.right} of {self.runs} right, {self.requests:,} requests, {len(self.lost)} lost"


TALLIES: dict[str, Tally] = {}
"""What this process saw, for the summary at its end (`tests.conftest`)."""


def deploy_good(project: Project) -> None:
    """Deploy the version that serves well."""
    project.score_alone(GOOD)
    project.write_script(GOOD, golden=GOLDEN)
    project.up()


def judge(project: Project, target: str, case: str, runs: int) -> None:
    """Roll a case's version out so many times, each with a good one before it."""
    if runs == 1 and case not in SHORT[target]:
        pytest.skip("make soak-rollouts runs this case")
    rollout, script, refused = CASES[case]
    tally = TALLIES[f"{target}, {case}"] = Tally()
    kept = {name: project.settings["deployment"]["rollout"][name] for name in ("deadlineSeconds", "drainSeconds")}
    for number in range(runs):
        project.write_settings(deployment={"rollout": {**kept, **rollout}})
        project.write_script(f"# {case} {number}\n{script}", golden=GOLDEN)
        with hammering(asked, project.client) as seen:
            eventually(lambda: seen.answers > 10)
            result = project.engine("up", "--yes", "--skip-preview", "--stack", project.stack)
            reached = seen.answers
            eventually(lambda: seen.answers > reached + 10)  # noqa: B023
        right = (result.code != 0 and bool(re.search(refused, result.text))) if refused else result.code == 0
        tally.runs += 1
        tally.right += right
        tally.requests += seen.answers
        tally.lost += [wrong for wrong in seen.wrong if not (script == FAILS and PLANTED in wrong)]
        if not right:
            tally.wrong.append(result.text)
    assert tally.right == tally.runs, "\n".join(tally.wrong)
    assert not tally.lost, Counter(tally.lost)


def asked(client: httpx.Client) -> str | None:
    """Ask a version; says what is wrong with its answer."""
    answer = client.post("/score", json={"x": 3})
    right = answer.status_code == 200 and answer.json() == {"y": pytest.approx(6.0)}
    return None if right else re.sub(r"\s+", " ", f"{answer.status_code} {answer.text[:200]}")
