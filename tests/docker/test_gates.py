"""The gates of a rollout on a real Docker engine: a slower version gets no traffic, and nothing of the prover stays."""

import httpx
import pytest

from tests.docker.conftest import Base
from tests.docker.project import DockerProject
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import hammering

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


def test_a_slower_version_is_refused_and_a_good_one_passes(
    tmp_path_factory: pytest.TempPathFactory, base: Base
) -> None:
    project = DockerProject(
        tmp_path_factory.mktemp("p") / "project", base_image=base.triton, front_door_image=base.envoy
    )
    project.add_model("digits")
    golden = {"request": {"row": 0}, "response": {"digit": golden_digit(project.root)}}
    project.write_script(SCORE, golden=golden)
    project.write_settings(entryScript="score.py")
    try:
        project.up()
        before = project.containers()
        rollout = project.settings["deployment"].get("rollout", {})
        gates = {"replay": {}, "performance": {**LOAD, "maxSlowdown": 1.2}}
        project.write_settings(deployment={"rollout": {**rollout, **gates}})
        project.up()
        assert project.containers() == before  # changed gates are no new generation

        project.write_script(SCORE + SLOWER, golden=golden)
        with hammering(scored, project.client) as seen:
            said = project.up(fails=True)
        assert "performance refused generation 2; generation 1 serves on" in said
        assert (seen.answers > 0, seen.wrong) == (True, [])
        assert project.containers() == before

        gates["performance"] = {**LOAD, "maxSlowdown": 5}
        project.write_settings(deployment={"rollout": {**rollout, **gates}})
        project.write_script(f"{SCORE}\n# another\n", golden=golden)
        project.up()
        assert {name.rsplit("-", 2)[-1] for name in project.containers()} == {"network", "triton", "scorer", "door"}
        assert not (project.root / ".var" / "docker" / project.service / "prover").exists()
    finally:
        project.destroy()
