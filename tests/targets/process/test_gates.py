"""The gates of a rollout with real servers and a front door: who is slower or answers otherwise gets no traffic."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from settings.rollout_gates import Performance, Replay
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.process import rollout
from targets.process import service as whole_service
from targets.process.service_folder import Generation, ServiceDirectory
from targets.process.specification import ServiceSpec
from tests.targets.process.conftest import OWNER, PROJECT, Service, spec_of_triton
from tests.targets.process.test_front_door import Door
from tests.waiting import eventually

GOLDEN = {"request": {"x": 0}, "response": {"y": 0.0}}
GOOD = """
import json, time
def init(): pass
def run(data):
    return {"y": json.loads(data).get("x", 0) * 2.0}
"""
SLOW = GOOD.replace("    return", "    time.sleep(0.03)\n    return")
OTHER = GOOD.replace("2.0", "2.1")  # right where x is 0, as in the golden request
LOAD = Performance.model_validate({"concurrency": 2, "seconds": 2, "maxSlowdown": 1.2})
ABSOLUTE = Performance.model_validate({"concurrency": 2, "seconds": 2, "p95Ms": 20})


def plan(**gates: Any) -> RolloutPlan:
    return RolloutPlan(deadline_seconds=60, drain_seconds=5, **gates)


def up(service: Service, script: str, gates: RolloutPlan, **changed: Any) -> Generation:
    """Deploy a script with a golden request behind gates."""
    service.progress.clear()
    spec = service.spec(script, rollout=gates, **changed)
    assert spec.entry_script is not None
    script_with_golden = spec.entry_script.model_copy(update={"golden": json.dumps(GOLDEN)})
    return rollout.apply(spec.model_copy(update={"entry_script": script_with_golden}), service.progress.append)


@pytest.fixture(scope="module")
def door(service: Service) -> Door:
    """The front door of the module's service."""
    up(service, GOOD, plan())
    opened = Door(service)
    opened.open(shape=("scorer",), owner=OWNER)
    return opened


def test_a_first_generation_is_judged_by_its_own_limits(service: Service, tmp_path: Path) -> None:
    gates = plan(replay=Replay(), performance=ABSOLUTE)
    state = tmp_path / "state"
    try:
        with pytest.raises(ServiceError, match="performance refused generation 1"):
            up(service, SLOW, gates, state_directory=state)
        assert not (state / "services").exists()
        assert up(service, GOOD, gates, state_directory=state).number == 1
        assert "replay is left out: no generation serves to compare with" in service.progress
    finally:
        whole_service.remove(state, "web", OWNER)


def test_changed_gates_are_no_new_generation(service: Service, door: Door) -> None:
    old = up(service, GOOD, plan())
    assert up(service, GOOD, plan(replay=Replay(), performance=LOAD)) == old


def test_a_good_version_passes(service: Service, door: Door) -> None:
    old = up(service, GOOD, plan())
    loose = LOAD.model_copy(update={"max_slowdown": 3.0})
    with door.hammered() as answers:
        new = up(service, f"# another\n{GOOD}", plan(replay=Replay(requests=20), performance=loose))
    assert new.number > old.number
    assert {json.dumps(json.loads(text)) for text in answers} == {'{"y": 0.0}'}
    told = "\n".join(service.progress)
    assert "replay: " in told
    assert "performance: " in told


def test_a_slower_version_is_refused_and_nobody_loses_a_request(service: Service, door: Door) -> None:
    old = up(service, GOOD, plan())
    pids = service.pids
    with door.hammered() as answers, pytest.raises(ServiceError) as refused:
        up(service, SLOW, plan(performance=LOAD))
    text = str(refused.value)
    assert text.startswith(f"performance refused generation {old.number + 1}; generation {old.number} serves on\n")
    assert "limit" in text
    assert service.pids == pids
    assert service.directory.generation_numbers() == [old.number]
    assert {json.dumps(json.loads(text)) for text in answers} == {'{"y": 0.0}'}
    assert not list(service.directory.root.glob("generations/*/plan.json"))


def test_a_version_that_answers_otherwise_to_recorded_requests_is_refused(service: Service, door: Door) -> None:
    collected = service.folder / "collected"
    variables = {"WORKER_COUNT": "1", "COLLECT_URL": str(collected), "COLLECT_SECONDS": "1"}
    old = up(service, GOOD, plan(), variables=variables)
    for x in range(20):
        httpx.post(f"http://127.0.0.1:{old.scorer}/score", json={"x": x}).raise_for_status()
    # The probe's golden request is recorded too, as a check.
    eventually(lambda: sum(f.read_text().count('"check":false') for f in collected.glob("*/*.jsonl")) == 20, seconds=30)
    gates = plan(replay=Replay(requests=20))
    with pytest.raises(ServiceError) as refused:
        up(service, OTHER, gates, variables=variables)
    text = str(refused.value)
    assert text.startswith("replay refused generation")
    assert "requests that COLLECT_URL holds" in text
    assert "$.y: 38.0 before, 39.9 now" in text
    assert service.directory.generation_numbers() == [old.number]
    assert up(service, f"# another\n{GOOD}", gates, variables=variables).number > old.number


@pytest.fixture
def digits(tmp_path: Path) -> Iterator[ServiceSpec]:
    models = tmp_path / "models"
    shutil.copytree(PROJECT / "model_repository" / "triton" / "digits", models / "triton" / "digits")
    spec = spec_of_triton(tmp_path, models, rollout=plan(replay=Replay(), performance=LOAD))
    yield spec
    whole_service.remove(spec.state_directory, "web", OWNER)


def test_a_model_of_triton_passes_by_its_golden_inference(digits: ServiceSpec) -> None:
    said: list[str] = []
    rollout.apply(digits, said.append)
    assert "performance is left out: maxSlowdown alone compares with a generation that serves" in said
    loose = LOAD.model_copy(update={"max_slowdown": 3.0})
    again = {"variables": {"A": "b"}, "rollout": plan(replay=Replay(), performance=loose)}
    new = rollout.apply(digits.model_copy(update=again), said.append)
    assert new.number == 2
    assert any(line.startswith("replay: ") for line in said)
    record = ServiceDirectory.of(digits.state_directory, "web").record()
    assert record is not None
    assert record.current == new
