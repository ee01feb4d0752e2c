"""Steps of a rollout with real servers and a front door, under clients who count what they get."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from gateway import envoy_folder
from settings.rollout_steps import Analysis, Step
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.machine_target import BEHIND
from targets.process import rollout
from targets.process import service as whole_service
from targets.process.machine_target import TARGET
from targets.process.service_folder import Generation, Record, ServiceDirectory
from targets.rollout_record import Outcome, RolloutRecord, records
from targets.rollout_recorder import Recorder
from tests.targets.process.conftest import OWNER, Service
from tests.targets.process.test_front_door import Door
from tests.waiting import eventually

OLD = """
def init(): pass
def run(data):
    return "old"
"""
NEW = OLD.replace("old", "new")
SLOW = NEW.replace("    return", "    import time; time.sleep(0.1)\n    return")
FAILS = """
import itertools
def init():
    global calls
    calls = itertools.count(1)
def run(data):
    if next(calls) % 20 == 0:
        raise RuntimeError("no luck")
    return "new"
"""
COLDER = """
import time
def init():
    global left
    left = 3
def run(data):
    global left
    if left:
        left -= 1
        time.sleep(0.2)
    return "new"
"""
ANALYSIS = Analysis.model_validate({"maxErrorRate": 0.01, "maxSlowdown": 3.0, "minRequests": 20})


def steps(*shares: dict[str, Any]) -> list[Step]:
    return [Step.model_validate({"pause": "4s", **share}) for share in shares]


def plan(**changed: Any) -> RolloutPlan:
    return RolloutPlan(**{"deadline_seconds": 60, "drain_seconds": 5, **changed})


def judged(*shares: dict[str, Any]) -> RolloutPlan:
    return plan(steps=steps(*shares), analysis=ANALYSIS)


@pytest.fixture
def door(service: Service) -> Door:
    """An open front door to a generation that answers "old"."""
    service.up(OLD, rollout=plan())
    opened = Door(service)
    opened.open(shape=("scorer",), owner=OWNER)
    return opened


@contextmanager
def clients(door: Door, number: int = 4, *, counted: bool = False) -> Iterator[list[str]]:
    """Collect the answers of several clients until the block ends: more of them where shares are `counted`."""
    answers: list[str] = []
    with ExitStack() as running:
        pause = 0.003 if counted else 0.01
        theirs = [running.enter_context(door.hammered(pause)) for _ in range(number)]
        yield answers
    answers += [answer for mine in theirs for answer in mine]


def record_of(service: Service) -> Record:
    found = service.directory.record()
    assert found is not None
    return found


def report(service: Service) -> RolloutRecord:
    return RolloutRecord.model_validate_json(records(service.directory.reports)[-1].read_bytes())


def said(answers: list[str]) -> set[str]:
    return set(Counter(answers))


def test_a_good_version_goes_through_its_steps_and_no_request_is_lost(service: Service, door: Door) -> None:
    with clients(door, counted=True) as answers:
        service.up(NEW, rollout=judged({"mirror": 50}, {"setWeight": 20}, {"setWeight": 60}))
    assert said(answers) == {'"old"', '"new"'}
    record = record_of(service)
    assert record.candidate is None
    assert service.directory.generation_numbers() == [record.current.number if record.current else 0]
    assert json.loads(service.score()) == "new"
    found = report(service)
    assert found.outcome is Outcome.PASSED
    assert [step.name for step in found.steps] == ["mirror 50 %", "weight 20 %", "weight 60 %"]
    shares = [step.new.requests / (step.new.requests + step.old.requests) for step in found.steps[1:]]
    assert shares == pytest.approx([0.2, 0.6], abs=0.06)
    assert not list(service.directory.envoy.glob("*candidate*"))
    with clients(door) as answers:
        pass
    assert said(answers) == {'"new"'}


@pytest.mark.parametrize(
    ("script", "figure"), [(SLOW, "slowdown of p95"), (FAILS, "requests that failed")], ids=["slow", "fails"]
)
def test_a_bad_version_is_refused_and_the_old_one_has_everything_again(
    service: Service, door: Door, script: str, figure: str
) -> None:
    old, pids = record_of(service).current, service.pids
    with clients(door) as answers, pytest.raises(ServiceError) as refused:
        service.up(script, rollout=judged({"setWeight": 30, "pause": "12s"}))
    assert old is not None
    text = str(refused.value)
    assert text.startswith("step 1 of 1 (weight 30 %) refused generation ")
    assert f"; generation {old.number} has all of the traffic again" in text
    assert any(figure in line and "NO" in line for line in text.splitlines())
    assert service.pids == pids
    assert record_of(service).current == old
    assert record_of(service).candidate is None
    assert report(service).outcome is Outcome.REFUSED
    with clients(door) as after:
        pass
    assert said(after) == {'"old"'}
    lost = [answer for answer in answers if answer not in ('"old"', '"new"') and "scoring script" not in answer]
    assert not lost


def test_a_version_that_is_only_colder_passes(service: Service, door: Door) -> None:
    with clients(door) as answers:
        service.up(COLDER, rollout=judged({"setWeight": 50, "pause": "8s"}))
    assert said(answers) == {'"old"', '"new"'}


def test_a_mirrored_version_that_fails_is_refused_and_no_client_saw_it(service: Service, door: Door) -> None:
    with clients(door) as answers, pytest.raises(ServiceError, match=r"mirror 50 %\) refused"):
        service.up(FAILS, rollout=judged({"mirror": 50}))
    assert said(answers) == {'"old"'}


def test_too_few_requests_decide_nothing_and_say_what_to_do(service: Service, door: Door) -> None:
    with pytest.raises(ServiceError, match=r"gave generation .* 0 requests in 4 s.* Lengthen the step's pause"):
        service.up(NEW, rollout=judged({"setWeight": 50}, {"setWeight": 60}))
    found = report(service)
    assert (found.outcome, len(found.steps), found.planned) == (Outcome.TOO_FEW_REQUESTS, 1, 2)
    assert json.loads(service.score()) == "old"


def test_without_a_front_door_the_steps_are_left_out(service: Service) -> None:
    whole_service.remove(service.folder / "state", "web", OWNER)
    service.up(OLD, rollout=plan())
    service.up(NEW, rollout=judged({"setWeight": 50}))
    assert any("no front door is open yet" in line for line in service.progress)
    assert json.loads(service.score()) == "new"


def share_of(answers: list[str]) -> float:
    return Counter(answers)['"new"'] / len(answers)


def test_a_static_canary_stays_is_raised_promoted_and_taken_back(service: Service, door: Door) -> None:
    def up(script: str, percent: int | None) -> Generation:
        found = service.up(script, rollout=plan(canary_traffic_percent=percent))
        door.open(shape=("scorer",), owner=OWNER)
        return found

    def measured() -> float:
        with clients(door, counted=True) as answers:
            time.sleep(2)  # of requests
        assert said(answers) <= {'"old"', '"new"'}
        return share_of(answers)

    old = record_of(service).current
    assert up(NEW, 20) == old
    assert measured() == pytest.approx(0.2, abs=0.06)
    candidate = record_of(service).candidate
    assert up(NEW, 20) == old
    assert record_of(service).candidate == candidate
    assert up(NEW, 50) == old
    assert record_of(service).candidate == candidate
    assert measured() == pytest.approx(0.5, abs=0.06)
    # The settings of before take it back, 0 does too.
    assert up(OLD, 50) == old
    assert measured() == 0
    assert up(NEW, 0) == old
    assert record_of(service).candidate is None
    assert up(NEW, 30) == old
    candidate = record_of(service).candidate
    assert up(NEW, 0) == old
    assert measured() == 0
    assert up(NEW, 30) == old
    candidate = record_of(service).candidate
    assert up(NEW, None) == candidate
    assert measured() == 1


def test_a_killed_supervisor_brings_a_static_canary_back(service: Service, door: Door) -> None:
    service.up(NEW, rollout=plan(canary_traffic_percent=50))
    candidate = record_of(service).candidate
    service.kill_supervisor()
    service.up(NEW, rollout=plan(canary_traffic_percent=50))
    assert record_of(service).candidate == candidate
    with clients(door) as answers:
        pass
    assert said(answers) == {'"old"', '"new"'}


def test_a_killed_up_loses_no_request_and_the_next_one_takes_its_share_back(service: Service, door: Door) -> None:
    spec = service.spec(NEW, rollout=plan(steps=steps({"setWeight": 50, "pause": "60s"})))
    code = (
        "from targets.process import rollout\nfrom targets.process.specification import ServiceSpec\n"
        f"rollout.apply(ServiceSpec.model_validate_json({spec.model_dump_json(by_alias=True)!r}), print)"
    )
    with clients(door) as answers:
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            eventually(lambda: "-candidate" in (service.directory.envoy / "routes.json").read_text(), seconds=30)
            assert service.directory.is_changing()
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert not service.directory.is_changing()
    assert said(answers) <= {'"old"', '"new"'}
    with clients(door) as answers:
        again = rollout.apply(service.spec(OLD, rollout=plan()), service.progress.append)
    assert again == record_of(service).current
    assert said(answers) <= {'"old"', '"new"'}
    assert any("has no share of the traffic any more" in line for line in service.progress)
    with clients(door) as answers:
        pass
    assert said(answers) == {'"old"'}


def test_a_killed_envoy_comes_back_with_the_shares_of_its_step(service: Service, door: Door) -> None:
    service.up(NEW, rollout=plan(canary_traffic_percent=50))
    os.kill(door.pid, signal.SIGKILL)
    eventually(lambda: door.ask().status_code == 200, seconds=20, ignoring=(Exception,))
    with clients(door, counted=True) as answers:
        time.sleep(1)  # of requests
    assert share_of(answers) == pytest.approx(0.5, abs=0.1)


class Killed(BaseException):
    """What a test raises instead of the kernel's signal: every write from then on, so that nothing is put in order."""


@contextmanager
def killed_before_write(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let a rollout write so many files of the record and the front door, and none more; gives those that it wrote."""
    written: list[str] = []

    def counting(write: Any, name: Any) -> Any:
        def wrapped(*arguments: Any) -> None:
            if len(written) >= number:
                raise Killed
            write(*arguments)
            written.append(name(*arguments))

        return wrapped

    with monkeypatch.context() as patched:
        move, record = envoy_folder._move_into_place, ServiceDirectory.write_record
        patched.setattr(envoy_folder, "_move_into_place", counting(move, lambda path, text: path.name))
        patched.setattr(ServiceDirectory, "write_record", counting(record, lambda *_: "record"))
        patched.setattr(Recorder, "_write", lambda *_: None)
        patched.setattr(rollout._Rollout, "_remove", lambda *_: None)
        yield written


@pytest.mark.parametrize("wanted", [50, None], ids=["raised", "promoted"])
def test_a_share_whose_change_was_killed_anywhere_is_that_of_the_settings_again(
    service: Service, door: Door, monkeypatch: pytest.MonkeyPatch, wanted: int | None
) -> None:
    old = service.up(NEW, rollout=plan(canary_traffic_percent=20))
    candidate = record_of(service).candidate
    assert candidate is not None
    for number in range(20):
        try:
            with clients(door, 2) as answers, killed_before_write(number, monkeypatch):
                service.up(NEW, rollout=plan(canary_traffic_percent=wanted))
            break
        except Killed:
            pass
        if record_of(service).current == candidate:  # it had all of the traffic by then
            break
        with clients(door) as answers:
            service.up(NEW, rollout=plan(canary_traffic_percent=20))
            routes = (service.directory.envoy / "routes.json").read_text()
        assert said(answers) <= {'"old"', '"new"'}, number
        assert '"weight": 20' in routes, number
        assert record_of(service).candidate == candidate
        assert record_of(service).current == old
    else:
        pytest.fail("the rollout never came to an end")
    assert number > 2
    with clients(door) as answers:
        service.up(NEW, rollout=plan(canary_traffic_percent=wanted))
    assert said(answers) <= {'"old"', '"new"'}


def test_a_promotion_that_was_killed_at_its_end_is_repeated_without_a_lost_request(
    service: Service, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.up(NEW, rollout=plan(canary_traffic_percent=20))
    candidate = record_of(service).candidate
    with killed_before_write(6, monkeypatch) as written, suppress(Killed):
        service.up(NEW, rollout=plan())
    assert written[-1] == "clusters.json"
    assert record_of(service).candidate == candidate
    with clients(door) as answers:
        assert service.up(NEW, rollout=plan()) == candidate
    assert said(answers) <= {'"old"', '"new"'}


def test_another_stacks_service_stays_that_stacks_while_a_version_goes_through_steps(
    service: Service, door: Door
) -> None:
    with clients(door), pytest.raises(ServiceError, match="refused generation"):
        service.up(FAILS, rollout=judged({"setWeight": 50}), owner="organization/project/other", overwrite=True)
    assert record_of(service).owner == OWNER
    service.up(OLD, rollout=plan())


def test_a_share_that_the_state_does_not_know_makes_the_service_differ(service: Service, door: Door) -> None:
    part, old = TARGET.service, service.spec(OLD, rollout=plan())
    before = part.apply(old, service.progress.append)["generation"]
    assert not part.is_outdated(old, before)
    new = service.spec(NEW, rollout=plan(canary_traffic_percent=10))
    known = part.apply(new, service.progress.append)["generation"]
    assert (BEHIND in before, known[BEHIND]) == (False, True)
    assert not part.is_outdated(new, known)
    # A killed `up` did not write its outputs, and the settings of before ask for nothing new.
    assert part.is_outdated(old, before)
