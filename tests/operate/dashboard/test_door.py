"""Where each target of this machine finds the front door that the dashboard watches, and who is behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from settings.load import read_stack_file
from settings.schema import Target
from targets.contract import OpenDoor, Stack, verbs_of
from targets.errors import ServiceError

DOOR = {"port": 6789, "stats_port": 6790}
RECORDS: dict[Target, tuple[str, dict[str, Any], dict[str, Any]]] = {
    Target.PROCESS: (
        "services/web/service.json",
        {"owner": "o", "current": {"number": 3, "digest": "d"}},
        {"candidate": {"number": 4, "digest": "e"}, "percent": 10},
    ),
    Target.DOCKER: (
        "docker/web/record.json",
        {"owner": "o", "generation": 3},
        {"candidate": 4, "percent": 10},
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\n")
    (tmp_path / "stacks").mkdir()
    return tmp_path


def door(project: Path, target: Target, record: dict[str, Any] | None) -> OpenDoor:
    settings = f"config:\n  serviceName: web\n  models: ['m:1']\n  deployment: {{target: {target.value}}}\n"
    settings += f"  stateDirectory: {project}/.var\n"
    (project / "stacks" / "Pulumi.mine.yaml").write_text(settings)
    if record is not None:
        file = project / ".var" / RECORDS[target][0]
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(record))
    stack = Stack(settings=read_stack_file(project, "mine", form_alone=True))
    return verbs_of(target).door(stack)


@pytest.mark.parametrize("target", RECORDS)
def test_its_ports_and_the_generation_that_serves_are_those_of_the_record(project: Path, target: Target) -> None:
    found = door(project, target, RECORDS[target][1] | DOOR)
    assert found == OpenDoor(port=6789, statistics_port=6790, serving=3)


@pytest.mark.parametrize("target", RECORDS)
def test_a_candidate_is_told_with_its_share(project: Path, target: Target) -> None:
    _, record, candidate = RECORDS[target]
    shares = "generation 3 has 90 % of the traffic, generation 4 has 10 %"
    assert door(project, target, record | DOOR | candidate).shares == (shares,)


@pytest.mark.parametrize("target", RECORDS)
def test_a_service_without_a_front_door_is_told(project: Path, target: Target) -> None:
    for record in (None, RECORDS[target][1]):
        with pytest.raises(ServiceError, match=r"service 'web' is not deployed on this machine.*make up does it"):
            door(project, target, record)
