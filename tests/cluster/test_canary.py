"""A new version beside the serving one on a real cluster: its share, its verdict, and what is left of it."""

import json
import time

import pytest

from gateway.admin import Admin
from targets.canary import RefusedError
from targets.node_pool.canary.envoys import Envoys
from targets.node_pool.canary.portion import Portion
from targets.node_pool.canary.shares import DoorShares
from targets.node_pool.object_names import CANDIDATE
from targets.node_pool.rollout import RolloutError
from targets.rollout_record import Outcome
from tests.cluster.canary import KIND, CanaryOf, Said
from tests.cluster.images import PROJECT
from tests.provider import asking
from tests.waiting import eventually

GOLDEN = json.loads((PROJECT / "examples" / "scripts" / "score_digits.golden.json").read_text())
PERFORMANCE = {"concurrency": 2, "seconds": 1, "maxSlowdown": 3}
MIRROR, HALF = {"mirror": 50, "pause": "4s"}, {"setWeight": 50, "pause": "8s"}


@pytest.fixture
def canary(service, built, tmp_path):
    if service.measured()[0] != "Healthy":
        service.deploy(*built.good)
    made = CanaryOf(service, tmp_path)
    yield made
    made.up(built.good)  # takes back what a failed test left
    assert made.is_gone()


def test_a_good_version_proves_itself_takes_its_steps_and_makes_room_for_the_replicas_rollout(canary, service, built):
    said = Said()
    gates = {"replay": {"requests": 5}, "performance": PERFORMANCE}
    steps = {"steps": [MIRROR, HALF], "analysis": {"maxErrorRate": 0.01, "minRequests": 20}}
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        outputs = canary.up(built.newer, said, **gates, **steps)
        assert outputs["serving"] == canary.inputs(built.newer)["generation"]
        assert canary.is_gone()
    assert counted[0]["failures"] == []
    assert any(line.startswith("replay: answers that differ 0.0%") for line in said), said
    record = canary.record()
    assert record.proof is not None
    mirror, half = record.steps
    assert (mirror.outcome, half.outcome) == (Outcome.PASSED, Outcome.PASSED)
    assert (mirror.new.requests + mirror.new.dropped) / mirror.old.requests == pytest.approx(0.5, abs=0.15)
    assert half.new.requests / (half.old.requests + half.new.requests) == pytest.approx(0.5, abs=0.12)


def test_a_version_that_fails_requests_is_refused_and_the_old_one_has_all_within_two_seconds(
    canary, service, built, monkeypatch
):
    took = []
    change = DoorShares._change

    def timed(self, portion):
        started = time.monotonic()
        change(self, portion)
        took.append((portion, time.monotonic() - started))

    monkeypatch.setattr(DoorShares, "_change", timed)
    serving = service.replica().name
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        with pytest.raises(RefusedError) as refused:
            canary.up(built.failing, steps=[HALF], analysis={"maxErrorRate": 0.01, "minRequests": 40})
        back, seconds = took[-1]
        assert (back, seconds < 2) == (Portion(), True), took
        assert canary.is_gone()
    assert "requests that failed" in str(refused.value)
    assert "has all of the traffic again" in str(refused.value)
    assert canary.record().outcome is Outcome.REFUSED
    failed = canary.record().steps[-1].new.errors
    assert len(counted[0]["failures"]) <= 2 * failed  # planted ones alone, those after the last look too
    assert all(line.startswith("500") for line in counted[0]["failures"])
    assert service.replica().name == serving


def test_a_share_stays_until_it_is_raised_or_taken_back(canary, service, built):
    inputs, said = canary.inputs(built.newer, canaryTrafficPercent=10), []
    outputs = asking.create(KIND, inputs)
    assert (outputs["candidate"], outputs["weight"]) == (inputs["generation"], 10)
    assert outputs["serving"] == canary.inputs(built.good)["generation"]
    assert asking.read(KIND, inputs, outputs, said) == outputs
    assert "the candidate has 10 % of the traffic and is Healthy" in said
    assert asking.changes(KIND, inputs, outputs) == {}
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        raised = canary.inputs(built.newer, canaryTrafficPercent=50)
        with Envoys.of(service.cluster, canary.names) as envoys:
            before = envoys.ask(Admin.figures)
            time.sleep(10)
            ten = [now.since(before[pod]) for pod, now in envoys.ask(Admin.figures).items()]
            outputs = asking.update(KIND, inputs, outputs, raised)
            assert (outputs["candidate"], outputs["weight"]) == (inputs["generation"], 50)
    assert counted[0]["failures"] == []
    new, old = (sum(getattr(door, role).requests for door in ten) for role in ("candidate", "serving"))
    assert new / (new + old) == pytest.approx(0.1, abs=0.05)

    (pod,) = service.kube.pods(service.namespace, canary.names.selector(CANDIDATE))
    labels = dict(pod.labels)
    assert labels["app.kubernetes.io/component"] == "candidate"
    assert service.versions() == ["1"]  # metadata is that of the replicas
    service.cluster.delete("configmaps", service.namespace, canary.names.shares)
    assert set(asking.changes(KIND, raised, outputs)) == {"weight"}  # somebody took its share away
    zero = canary.up(built.newer, said, canaryTrafficPercent=0)
    assert (zero["candidate"], zero["weight"]) == ("", 0)
    assert canary.is_gone()


def test_what_an_up_that_was_killed_in_a_step_left_is_taken_back(canary, service, built):
    process = canary.begun(built.newer, steps=[{"setWeight": 30, "pause": "5m"}])
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        eventually(lambda: canary.portion() == Portion(weight=30), "the candidate has its share", 120)
        time.sleep(1)
        process.kill()
        process.wait(60)
        inputs = canary.inputs(built.good)
        known = {"serving": inputs["generation"], "candidate": "", "weight": 0, "state": "Healthy", "problems": []}
        assert set(asking.changes(KIND, inputs, known)) == {"candidate", "weight"}  # so the next up acts
        said = Said()
        canary.up(built.good, said)
        assert "the replicas have all of the traffic: nothing new is declared" in said
        assert canary.is_gone()
    assert counted[0]["failures"] == []


def test_a_version_that_does_not_start_gets_no_share_and_says_why(canary, service, built):
    with pytest.raises(RolloutError) as failure:
        canary.up(built.broken_model, steps=[HALF])
    for words in ("triton: failed to load 'digits' version 1", "Protobuf parsing failed", "serves on"):
        assert words in str(failure.value)
    assert canary.record().steps == ()
    assert canary.is_gone()
    assert service.measured()[0] == "Healthy"
