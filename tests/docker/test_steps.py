"""The steps of a rollout on a real Docker engine, under clients who ask all the time."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.docker.conftest import Base
from tests.docker.project import DockerProject
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import hammering
from tests.waiting import eventually

FAILS = """
_right, _calls = run, iter(range(10**9))
def run(data):
    if next(_calls) % 10 == 9:
        raise RuntimeError("no luck")
    return _right(data)
"""
ANALYSIS = {"maxErrorRate": 0.02, "minRequests": 20}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[DockerProject]:
    made = DockerProject(tmp_path_factory.mktemp("p") / "project", base_image=base.triton, front_door_image=base.envoy)
    made.add_model("digits")
    made.write_settings(entryScript="score.py")
    write_script(made, SCORE)
    try:
        made.up()
        yield made
    finally:
        made.destroy()


def write_script(project: DockerProject, text: str) -> None:
    project.write_script(text, golden={"request": {"row": 0}, "response": {"digit": golden_digit(project.root)}})


def set_rollout(project: DockerProject, **changed: Any) -> None:
    kept = {"deadlineSeconds": 120, "drainSeconds": 5}
    project.write_settings(deployment={"rollout": {**kept, **changed}})


def scored(client: httpx.Client) -> str | None:
    answer = client.post("/score", json={"row": 0})
    return None if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"


def generations(project: DockerProject) -> set[str]:
    return {name.rsplit("-", 2)[-2] for name in project.containers() if name.endswith(("-triton", "-scorer"))}


def last_report(project: DockerProject) -> dict[str, Any]:
    folder = project.root / ".var" / "docker" / project.service / "reports"
    found: dict[str, Any] = json.loads(sorted(folder.glob("*.json"))[-1].read_text())
    return found


def test_a_version_that_fails_at_times_is_refused_and_the_old_one_has_everything_again(project: DockerProject) -> None:
    before = generations(project)
    set_rollout(project, steps=[{"setWeight": 50, "pause": "20s"}], analysis=ANALYSIS)
    write_script(project, SCORE + FAILS)
    said = ""
    with hammering(scored, project.client) as seen:
        said = project.up(fails=True)
    assert "step 1 of 1 (weight 50 %) refused generation" in said
    assert "requests that failed" in said
    assert seen.wrong  # the share of the new version
    assert all("500" in wrong for wrong in seen.wrong)
    assert generations(project) == before
    with hammering(scored, project.client) as seen:
        eventually(lambda: seen.answers > 20)
    assert (seen.answers > 0, seen.wrong) == (True, [])
    assert last_report(project)["outcome"] == "refused"


def test_a_good_version_takes_over_and_no_request_is_lost(project: DockerProject) -> None:
    before = generations(project)
    shares = [{"mirror": 50, "pause": "10s"}, {"setWeight": 50, "pause": "10s"}]
    set_rollout(project, steps=shares, analysis=ANALYSIS)
    write_script(project, f"{SCORE}\n# another\n")
    with hammering(scored, project.client) as seen:
        project.up()
    assert (seen.answers > 0, seen.wrong) == (True, [])
    assert len(generations(project)) == 1
    assert generations(project) != before
    found = last_report(project)
    assert (found["outcome"], [step["outcome"] for step in found["steps"]]) == ("passed", ["passed", "passed"])


def test_a_static_canary_stays_until_it_is_promoted(project: DockerProject) -> None:
    (old,) = generations(project)
    set_rollout(project, canaryTrafficPercent=50)
    write_script(project, f"{SCORE}\n# yet another\n")
    with hammering(scored, project.client) as seen:
        project.up()
        assert generations(project) > {old}
        both = project.containers()
        project.up()  # nothing changes, and both stay
        assert project.containers() == both
        set_rollout(project)
        project.up()
    assert (seen.answers > 0, seen.wrong) == (True, [])
    assert generations(project) == {name.rsplit("-", 2)[-2] for name in both if name.endswith("-scorer")} - {old}
