"""A candidate's objects, and what a rollout does with a candidate that it finds, makes or leaves."""

import contextlib
import json

import pytest

from common.waiting import Cancelled
from gateway.admin import AdminError
from settings.service_groups import RolloutPlan
from targets.canary import RefusedError
from targets.errors import ServiceError
from targets.node_pool.canary import rollout as module
from targets.node_pool.canary.candidate import Candidate, Live
from targets.node_pool.canary.portion import Portion
from targets.node_pool.canary.rollout import CanaryRollout, Found
from targets.node_pool.needs import HPA, SCALED_OBJECT, Needs
from targets.node_pool.object_names import CANDIDATE, FRONT_DOOR, REPLICA, Names
from targets.node_pool.objects.candidate import candidate
from targets.node_pool.objects.every_object import objects
from targets.node_pool.objects.gateway_files import gateway_options
from targets.rollout_record import Outcome, RolloutRecord, records
from tests.targets.node_pool.conftest import OWN, Rendered
from tests.targets.node_pool.test_every_object import CASES, NEWEST, OLDEST, validate

STEPS = {"steps": [{"mirror": 20, "pause": "1s"}, {"setWeight": 50, "pause": "1s"}]}
GATE = {"replay": {"requests": 5}}
ELASTIC = {"gpuCores": 0, "rollout": STEPS}


@pytest.mark.parametrize("case", [name for name in CASES if "recreate" not in name and "to zero" not in name])
def test_a_candidates_objects_are_those_of_the_replicas_under_names_of_their_own(case, options):
    preset, shape, toggle = CASES[case]
    pool = {**(OWN if preset == "own" else {}), **toggle.get("nodePool", {})}
    rest = {key: value for key, value in toggle.items() if key != "nodePool"}
    rest["deployment"] = {**rest.get("deployment", {}), "rollout": {"canaryTrafficPercent": 10}}
    pool.setdefault("spareGpus", 2)
    declared = options(preset, shape, pool, **rest)
    made, replicas = candidate(declared), objects(declared)
    assert made[-1]["kind"] == "Deployment"
    there = {(one["kind"], one["metadata"]["name"]) for one in replicas}
    assert there.isdisjoint((one["kind"], one["metadata"]["name"]) for one in made)
    for manifest in made:
        if manifest["kind"] != "ScaledObject":
            for version in (OLDEST, NEWEST):
                validate(json.dumps(manifest), version)
    names = Names.of(declared)
    theirs = Rendered(replicas).one("Deployment")["spec"]["template"]
    mine = made[-1]["spec"]["template"]
    assert mine["spec"]["containers"] == theirs["spec"]["containers"]
    assert mine["spec"]["serviceAccountName"] == names.service
    for other in (REPLICA, FRONT_DOOR):
        assert not names.selector(other).items() <= mine["metadata"]["labels"].items()
    kinds = {one["kind"]: one for one in made}
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert kinds[kind]["spec"][field]["matchLabels"] == names.selector(CANDIDATE)
    assert kinds["Service"]["metadata"]["name"] == names.candidates


@pytest.mark.parametrize(
    ("autoscale", "kind", "least"),
    [
        ({"by": "cpu", "minReplicas": 4, "maxReplicas": 6}, "HorizontalPodAutoscaler", "minReplicas"),
        ({"by": "cpu", "keda": True, "minReplicas": 4, "maxReplicas": 6}, "ScaledObject", "minReplicaCount"),
    ],
)
def test_a_candidate_is_scaled_for_itself_from_what_its_largest_share_needs(options, autoscale, kind, least):
    declared = options(pool={"autoscale": autoscale}, deployment=ELASTIC)
    (scaler,) = [one for one in candidate(declared) if one["kind"] == kind]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "triton-webservice-candidate"
    assert scaler["spec"][least] == 2
    assert candidate(declared)[-1]["spec"]["replicas"] == 2
    assert Needs.of(CANDIDATE, declared.settings) == Needs(
        least=2,
        most=6,
        services=("triton-webservice-candidates",),
        policies=("triton-webservice-candidate",),
        autoscaler=HPA if kind.startswith("Horizontal") else SCALED_OBJECT,
    )


@pytest.mark.parametrize(("percent", "replicas"), [(1, 1), (25, 1), (26, 2), (50, 2), (100, 4)])
def test_a_share_has_as_many_replicas_as_all_of_the_traffic_has(options, percent, replicas):
    rollout = {"canaryTrafficPercent": percent}
    declared = options(pool={"numReplicas": 4}, deployment={"gpuCores": 0, "rollout": rollout})
    assert candidate(declared)[-1]["spec"]["replicas"] == replicas


STAYING = {"beside": "new", "portion": Portion(10, stays=True)}


class Shares:
    """The Envoys of a service that is not there: what was asked of them, in order."""

    doors, fails = True, None

    def __init__(self, *_):
        self.asked = LOG

    def open(self):
        self.asked.append("open")
        return self.doors

    def share(self, *, weight=0, mirror=0):
        self.asked.append(f"weight {weight} mirror {mirror}")
        if type(self).fails is not None:
            raise type(self).fails

    def stay(self, weight):
        self.asked.append(f"stay {weight}")

    def close(self):
        self.asked.append("close")

    def figures(self):
        return {}


LOG: list[str] = []
LIVE = {"old": Live("old", 3, 1, frozenset({"triton", "scorer"})), "none": None}


class Nobody:
    """A cluster of which nothing is asked but by what this test replaces."""


@pytest.fixture
def run(options, monkeypatch, tmp_path):
    """Take the generation `new` to the traffic; gives who has it, what was done, and what was said."""
    declared = options(shape="triton and scorer", deployment={"gpuCores": 0, "rollout": STEPS})
    names = Names.of(declared)
    LOG.clear()
    monkeypatch.setattr(Shares, "doors", True)
    monkeypatch.setattr(Shares, "fails", None)
    monkeypatch.setattr(module, "DoorShares", Shares)
    monkeypatch.setattr(CanaryRollout, "_prove", lambda self, *_: LOG.extend(["prove"] * self.rollout.has_gates))
    monkeypatch.setattr(module.Envoys, "of", lambda *_: contextlib.nullcontext())

    def apply(serving="old", beside=None, portion=None, start=None, **settings):
        live = LIVE.get(serving) or (Live(serving, 3, 1, LIVE["old"].servers) if serving != "none" else None)
        there = {names.service: live, names.candidate: Live(beside, 1, 1, LIVE["old"].servers) if beside else None}
        monkeypatch.setattr(Live, "of", lambda _cluster, _namespace, name: there[name])
        monkeypatch.setattr(Portion, "of", lambda *_: portion if "open" not in LOG else Portion())

        def started(_self, _say):
            LOG.append("start")
            there[names.candidate] = Live("new", 1, 1, LIVE["old"].servers)
            if start is not None:
                raise start

        def removed(_self):
            LOG.append("remove")
            there[names.candidate] = None

        monkeypatch.setattr(Candidate, "start", started)
        monkeypatch.setattr(Candidate, "remove", removed)
        said = []
        new = Candidate(
            cluster=Nobody(),
            names=names,
            generation="new",
            objects=candidate(declared),
            needs=Needs(),
            provision=1,
            startup=1,
            grace=1,
        )
        canary = CanaryRollout(
            cluster=Nobody(),
            names=names,
            owner="o",
            candidate=new,
            door=gateway_options(declared),
            rollout=RolloutPlan.model_validate({"drainSeconds": 1, **settings}),
            reports=tmp_path,
            say=said.append,
        )
        return canary.apply(), list(LOG), said

    return apply


@pytest.mark.parametrize(
    ("there", "settings", "found", "done"),
    [
        ({"serving": "none"}, STEPS, Found("new"), []),
        ({"serving": "new"}, STEPS, Found("new"), []),
        ({}, {}, Found("new"), []),
        ({}, {"canaryTrafficPercent": 100}, Found("new"), []),
        ({}, {"canaryTrafficPercent": 0}, Found("old"), []),
        ({}, {"canaryTrafficPercent": 10}, Found("old", "new", 10), ["start", "open", "stay 10"]),
        (
            STAYING,
            {"canaryTrafficPercent": 30},
            Found("old", "new", 30),
            ["start", "open", "stay 30"],
        ),
        (
            {"beside": "third", "portion": Portion(10, stays=True)},
            {"canaryTrafficPercent": 10},
            Found("old", "new", 10),
            ["close", "remove", "start", "open", "stay 10"],
        ),
        (STAYING, {}, Found("new"), ["close", "remove"]),
        (
            STAYING,
            {"canaryTrafficPercent": 100},
            Found("new"),
            ["close", "remove"],
        ),
        (
            STAYING,
            {"canaryTrafficPercent": 0},
            Found("old"),
            ["close", "remove"],
        ),
        (
            {"serving": "new", "beside": "third", "portion": Portion(30)},
            STEPS,
            Found("new"),
            ["close", "remove"],
        ),
        ({"beside": "new"}, {}, Found("new"), ["close", "remove"]),
        ({}, GATE, Found("new"), ["start", "prove", "close", "remove"]),
        ({}, {**GATE, "canaryTrafficPercent": 5}, Found("old", "new", 5), ["start", "prove", "open", "stay 5"]),
        (
            STAYING,
            {**GATE, "canaryTrafficPercent": 20},
            Found("old", "new", 20),
            ["start", "open", "stay 20"],
        ),
        (STAYING, GATE, Found("new"), ["close", "remove"]),
        (
            {},
            STEPS,
            Found("new"),
            ["start", "open", "weight 0 mirror 20", "weight 50 mirror 0", "close", "remove"],
        ),
        (
            {"beside": "new", "portion": Portion(50)},
            STEPS,
            Found("new"),
            ["close", "start", "open", "weight 0 mirror 20", "weight 50 mirror 0", "close", "remove"],
        ),
    ],
)
def test_a_generation_goes_where_the_settings_want_it(run, there, settings, found, done):
    assert run(**there, **settings)[:2] == (found, done)


@pytest.mark.parametrize("error", [RefusedError("no"), AdminError("no"), Cancelled(), KeyboardInterrupt()])
def test_the_replicas_have_all_of_the_traffic_again_however_a_step_ends(run, monkeypatch, error, tmp_path):
    monkeypatch.setattr(Shares, "fails", error)
    with pytest.raises(type(error)):
        run(**STEPS)
    assert LOG[-2:] == ["close", "remove"]
    (file,) = records(tmp_path)
    record = RolloutRecord.model_validate_json(file.read_text())
    cancelled = isinstance(error, Cancelled | KeyboardInterrupt)
    assert record.outcome is (Outcome.CANCELLED if cancelled else Outcome.FAILED)
    assert (record.generation, record.before, record.planned) == (4, 3, 2)


def test_one_that_does_not_start_gets_no_place(run):
    with pytest.raises(ServiceError, match="no weights"):
        run(start=ServiceError("no weights"), **STEPS)
    assert LOG == ["start", "close", "remove"]


def test_too_few_requests_are_told_as_what_they_are(run):
    with pytest.raises(RefusedError, match=r"0 requests in 1 s.*Lengthen the step's pause"):
        run(**STEPS, analysis={"p95Ms": 5})
    assert LOG[-2:] == ["close", "remove"]


def test_without_an_envoy_nobody_needs_a_share(run, monkeypatch):
    monkeypatch.setattr(Shares, "doors", False)
    found, done, said = run(**STEPS)
    assert (found, done) == (Found("new"), ["start", "open", "close", "remove"])
    assert any("no Envoy takes requests yet" in line for line in said)


def test_a_share_is_refused_between_different_kinds_of_servers_and_beside_nothing(run, monkeypatch):
    monkeypatch.setitem(LIVE, "old", Live("old", 3, 1, frozenset({"triton"})))
    with pytest.raises(ServiceError, match="the version that serves has triton, the new one scorer and triton"):
        run(**STEPS)
    monkeypatch.setitem(LIVE, "old", Live("old", 3, 0, frozenset({"triton", "scorer"})))
    with pytest.raises(ServiceError, match="no replica of triton-webservice is ready, so nothing serves beside"):
        run(canaryTrafficPercent=10)
    assert LOG == []
