"""The gates of a rollout on a real Docker engine: a slower version gets no traffic, and nothing of the prover stays."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.docker.conftest import Base
from tests.docker.project import DockerProject, with_role
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import hammering
from tests.waiting import eventually

SLOWER = """
import time
_fast = run
def run(data):
    time.sleep(0.03)
    return _fast(data)
"""
LOAD = {"concurrency": 2, "seconds": 3}


def scored(client: httpx.Client) -> str | None:
    answer = client.post("/score", json={"row": 0})
    return None if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[DockerProject]:
    made = DockerProject(tmp_path_factory.mktemp("p") / "project", base_image=base.triton, front_door_image=base.envoy)
    made.add_model("digits")
    write(made, SCORE)
    made.write_settings(entryScript="score.py")
    try:
        made.up()
        yield made
    finally:
        made.destroy()


def write(project: DockerProject, script: str) -> None:
    golden = {"request": {"row": 0}, "response": {"digit": golden_digit(project.root)}}
    project.write_script(script, golden=golden)


def set_gates(project: DockerProject, **gates: Any) -> None:
    rollout = {"deadlineSeconds": 90, "drainSeconds": 10, **gates}
    project.write_settings(deployment={"rollout": rollout})


def roles(project: DockerProject) -> set[str]:
    return {name.rsplit("-", 2)[-1] for name in project.containers()}


def test_a_slower_version_is_refused_and_a_good_one_passes(project: DockerProject) -> None:
    before = project.containers()
    set_gates(project, replay={}, performance={**LOAD, "maxSlowdown": 1.2})
    project.up()
    assert project.containers() == before  # changed gates are no new generation

    write(project, SCORE + SLOWER)
    with hammering(scored, project.client) as seen:
        said = project.up(fails=True)
    assert "performance refused generation 2; generation 1 serves on" in said
    assert (seen.answers > 0, seen.wrong) == (True, [])
    assert project.containers() == before

    set_gates(project, replay={}, performance={**LOAD, "maxSlowdown": 5})
    write(project, f"{SCORE}\n# another\n")
    project.up()
    assert roles(project) == {"network", "triton", "scorer", "door"}
    assert not (project.root / ".var" / "docker" / project.service / "prover").exists()


def test_after_a_killed_up_the_next_one_removes_the_prover_and_starts_anew(project: DockerProject) -> None:
    set_gates(project, performance={"concurrency": 1, "seconds": 120, "p95Ms": 10_000})
    write(project, f"{SCORE}\n# one more\n")
    before = project.containers()
    with hammering(scored, project.client) as seen:
        up = project.start_up()
        (prover,) = eventually(lambda: proving(project), "the prover to run", 120)
        for process in project.processes():  # whatever runs the rollout
            process.kill()
        up.communicate(timeout=60)
        assert [found.id for found in proving(project)] == [prover.id]
        answered = seen.answers
        eventually(lambda: seen.answers > answered + 20, "answers without anybody who rolls out")

        set_gates(project, performance={**LOAD, "p95Ms": 10_000})
        said = project.up()
    assert (seen.answers > 0, seen.wrong) == (True, [])
    assert "has the traffic" in said
    assert proving(project) == []
    assert roles(project) == {"network", "triton", "scorer", "door"}
    assert set(project.containers().values()) & set(before.values()) == {project.container("front-door").id}


def proving(project: DockerProject) -> list[Any]:
    """The prover's containers that run."""
    found: list[Any] = project.sdk.containers.list(filters=with_role(project.service, "prover"))
    return found
