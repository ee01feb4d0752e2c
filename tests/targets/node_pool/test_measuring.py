"""What the state of a component is held against: its declaration, not the objects that happen to live."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.node_pool.needs import HPA, SCALED_OBJECT, Needs
from targets.node_pool.object_names import FRONT_DOOR, REPLICA
from targets.node_pool.rollout import RolloutError
from targets.node_pool.service import await_measured, measure
from tests.targets.node_pool.test_rollouts import Cluster, deployment, pod, recreated


def endpoints(*ready):
    return {"endpoints": [{"conditions": {"ready": one}} for one in ready]}


def scaler(status, *, age=600, kind="ScalingActive"):
    made = datetime.now(timezone.utc) - timedelta(seconds=age)
    conditions = [{"type": kind, "status": status, "reason": "FailedGetResourceMetric", "message": "no metrics"}]
    return {"metadata": {"creationTimestamp": made.isoformat()}, "status": {"conditions": conditions}}


NEEDS = Needs(services=("m",), policies=("m",), autoscaler=HPA, least=1, most=4)
THERE = {
    ("services", "m"): {},
    ("endpointslices", "m"): endpoints(False, True),
    ("networkpolicies", "m"): {},
    (HPA, "m"): scaler("True"),
}


def told(needs=NEEDS, others=None):
    """The state and problems of one ready replica, with what is changed around it; None: it is not there."""
    cluster = Cluster([deployment(1)], [pod("a", ready=True)], others={**THERE, **(others or {})})
    return measure(cluster, "serving", "m", needs)


def test_with_everything_there_it_is_healthy():
    assert told() == ("Healthy", [])


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ({("services", "m"): None}, "there is no Service m in the namespace serving"),
        ({("endpointslices", "m"): endpoints(False)}, "the Service m leads to no ready pod"),
        ({("endpointslices", "m"): {"endpoints": None}}, "the Service m leads to no ready pod"),
        ({("networkpolicies", "m"): None}, "there is no NetworkPolicy m in the namespace serving"),
        ({(HPA, "m"): None}, "there is no HorizontalPodAutoscaler m in the namespace serving"),
        (
            {(HPA, "m"): scaler("False")},
            "the HorizontalPodAutoscaler m does not scale: FailedGetResourceMetric: no metrics",
        ),
    ],
)
def test_whatever_traffic_needs_and_has_not_makes_it_unhealthy(missing, problem):
    assert told(others=missing) == ("Unhealthy", [problem])


def test_a_new_autoscaler_has_time_to_get_its_first_metrics():
    assert told(others={(HPA, "m"): scaler("False", age=5)})[0] == "Healthy"


def test_kedas_word_counts_where_keda_scales():
    needs = NEEDS.model_copy(update={"autoscaler": SCALED_OBJECT})
    found = told(needs, others={(SCALED_OBJECT, "m"): scaler("False", kind="Ready")})
    assert found[1] == ["the ScaledObject m does not scale: FailedGetResourceMetric: no metrics"]


@given(live=st.integers(0, 9), least=st.integers(0, 5), spread=st.integers(0, 4))
def test_any_number_of_ready_replicas_is_healthy_just_where_it_was_declared(live, least, spread):
    """Everything in the cluster agrees with itself: only the declaration tells that it is not what was wanted."""
    needs = Needs(least=least, most=least + spread)
    pods = [pod(str(number), ready=True) for number in range(live)]
    state, problems = measure(Cluster([deployment(live, wanted=live)], pods), "serving", "m", needs)
    assert (state == "Healthy") == (least <= live <= least + spread)
    assert (state == "Healthy") == (problems == [])


@pytest.mark.parametrize(("ready", "words"), [(True, "serves;"), (False, "is not ready yet either;")])
def test_the_version_before_a_failed_one_serves_when_its_pod_does(ready, words):
    class FallenBack(Cluster):
        def select(self, kind, namespace, labels):
            found = super().select(kind, namespace, labels)
            return [pod("old", ready=ready)] if kind == "pods" and "pod-template-hash" not in labels else found

    state, problems = measure(FallenBack([recreated(paused=True)], []), "serving", "m", Needs())
    assert state == "Unhealthy"
    assert words in problems[0]


def test_what_the_state_has_and_the_cluster_has_not_fails_the_update_and_says_what_brings_it_back():
    others = {**THERE, ("services", "m"): None}
    cluster = Cluster([deployment(1)], [pod("a", ready=True)], others=others)
    with pytest.raises(RolloutError, match=r"m gets no traffic: there is no Service m .* \(make refresh\)"):
        await_measured(cluster, "serving", "m", NEEDS, print)


def test_needs_come_from_the_settings(options):
    assert Needs.of(REPLICA, options(pool={"numReplicas": 3}).settings).least == 3
    scaled = {"minReplicas": 2, "maxReplicas": 5}
    assert Needs.of(REPLICA, options(pool={"autoscale": scaled}).settings) == Needs(
        least=2, most=5, services=("triton-webservice-replicas",), policies=("triton-webservice",), autoscaler=HPA
    )
    asleep = {"minReplicas": 0, "keda": True, "prometheus": "http://prometheus"}
    assert Needs.of(REPLICA, options(pool={"autoscale": asleep}).settings).autoscaler == SCALED_OBJECT
    door = Needs.of(FRONT_DOOR, options(pool={"frontDoor": {"numReplicas": 3}}).settings)
    assert (door.least, door.services, door.policies) == (3, ("triton-webservice",), ("triton-webservice-front-door",))
