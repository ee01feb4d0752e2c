"""The recorder on a real Docker engine: requests to Triton are recorded beside it, and its end is nobody's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from environment.image_layout import RECORDER_PORT
from tests.docker.conftest import Base
from tests.docker.project import DockerProject
from tests.e2e.project import SOURCE
from tests.waiting import NOBODY_ANSWERS, eventually

DIGITS = SOURCE / "model_repository" / "triton" / "digits"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[DockerProject]:
    made = DockerProject(tmp_path_factory.mktemp("p") / "project", base_image=base.triton, front_door_image=base.envoy)
    made.add_model("digits")
    made.write_settings(
        deployment={"recordRequests": {"sample": 1}},
        # Of the recorder's own process: enough to see that it writes.
        environment={"variables": {"COLLECT_URL": "memory://collected", "COLLECT_SECONDS": "1"}},
    )
    try:
        made.up()
        yield made
    finally:
        made.destroy()


def counts(project: DockerProject) -> Any:
    networks = project.container("network").attrs["NetworkSettings"]["Networks"]
    (address,) = [found["IPAddress"] for found in networks.values()]
    return httpx.get(f"http://{address}:{RECORDER_PORT}", timeout=5).json()


def infer(project: DockerProject) -> int:
    with project.client() as client:
        request = json.loads((DIGITS / "golden.json").read_text())["request"]
        return client.post("/v2/models/digits/infer", json=request).status_code


def test_requests_are_recorded_and_a_killed_recorder_comes_back(project: DockerProject) -> None:
    assert [infer(project) for _ in range(5)] == [200] * 5
    eventually(lambda: counts(project)["written"] >= 5, ignoring=NOBODY_ANSWERS)
    project.crash("recorder")
    assert [infer(project) for _ in range(20)] == [200] * 20
    eventually(lambda: counts(project), ignoring=NOBODY_ANSWERS)
    assert infer(project) == 200
    eventually(lambda: counts(project)["written"] > 0, ignoring=NOBODY_ANSWERS)
    assert project.container("recorder").attrs["State"]["Running"]


def test_without_the_setting_the_recorder_goes(project: DockerProject) -> None:
    project.write_settings(deployment={"recordRequests": None})
    project.up()
    assert infer(project) == 200
    assert {name.rpartition("-")[2] for name in project.containers()} == {"network", "triton", "door"}
