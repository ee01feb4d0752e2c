"""What is kept of requests on a real Docker engine: their traces, by a collector of this machine, and their records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from environment.image_layout import RECORDER_PORT
from targets.machine.ports import free_ports
from tests.docker.conftest import Base
from tests.docker.project import DockerProject
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import SOURCE
from tests.otlp_sink import collector
from tests.traced import Asking, check_that_nobody_misses_it, check_that_nobody_waits, check_traces
from tests.waiting import NOBODY_ANSWERS, eventually

GOLDEN = json.loads((SOURCE / "model_repository" / "triton" / "digits" / "golden.json").read_text())["request"]


@pytest.fixture(scope="module")
def collector_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, base: Base, collector_port: int) -> Iterator[DockerProject]:
    """The digits model behind a script; where its spans go, nobody listens yet."""
    made = DockerProject(tmp_path_factory.mktemp("p") / "project", base_image=base.triton, front_door_image=base.envoy)
    made.add_model("digits")
    made.write_script(SCORE, golden={"request": {"row": 0}, "response": {"digit": golden_digit(made.root)}})
    made.write_settings(
        entryScript="score.py",
        deployment={"recordRequests": {"sample": 1}},
        environment={
            "variables": {
                # Of the recorder's own process: enough to see that it writes.
                "COLLECT_URL": "memory://collected",
                "COLLECT_SECONDS": "1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{made.machine}:{collector_port}",
            }
        },
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
        return client.post("/v2/models/digits/infer", json=GOLDEN).status_code


def test_requests_have_traces_and_wait_for_no_collector(project: DockerProject, collector_port: int) -> None:
    with project.client() as client:
        asking = Asking(client, GOLDEN, {"row": 0})
        with collector(collector_port, project.machine) as sink:
            check_traces(sink, asking, project.service)
            check_that_nobody_waits(sink, asking)
        check_that_nobody_misses_it(sink.url, asking)


def test_requests_are_recorded_and_a_killed_recorder_comes_back(project: DockerProject) -> None:
    before = counts(project)["written"]
    assert [infer(project) for _ in range(5)] == [200] * 5
    eventually(lambda: counts(project)["written"] >= before + 5, ignoring=NOBODY_ANSWERS)
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
    assert {name.rpartition("-")[2] for name in project.containers()} == {"network", "triton", "scorer", "door"}
