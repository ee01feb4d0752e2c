"""What is told about pods that do not become ready, and when watching them ends."""

import contextlib
import threading
from dataclasses import replace

import pytest

from bundle.triton_storage import repository_url, triton_url
from common import waiting
from targets.node_pool import rollout
from targets.node_pool.cluster.cluster_client import ClusterError
from targets.node_pool.cluster.diagnosis import is_ready, node_lines, troubles
from targets.node_pool.needs import Needs
from targets.node_pool.rollout import Rollout, RolloutError, await_gone, await_rollout
from targets.node_pool.service import measure

ALL, LABELS = {"app": "m"}, {"app": "m", "pod-template-hash": "2"}
ROLLOUT = Rollout("serving", "m", provision=0, startup=0, grace=1)
FAILED = (
    "Startup probe failed: model digits version 1: GET http://x/ready: expected ready, received state UNAVAILABLE: no"
)


def pod(name, *, ready=False, scheduled=True, containers=(), ending=False):
    conditions = [{"type": "Ready", "status": str(ready)}]
    conditions.append(
        {"type": "PodScheduled", "status": "True"}
        if scheduled
        else {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "1 Insufficient gpu."}
    )
    return {
        "metadata": {"name": name, "namespace": "serving", **({"deletionTimestamp": "now"} if ending else {})},
        "spec": {"nodeName": "n"} if scheduled else {},
        "status": {"conditions": conditions, "containerStatuses": list(containers)},
    }


def container(name="triton", restarts=0, **state):
    return {"name": name, "ready": False, "restartCount": restarts, "state": state}


def evicted(name):
    found = pod(name, containers=[container(terminated={"exitCode": 137, "reason": "Error"})])
    found["status"]["phase"] = "Failed"
    return found


def unhealthy(message, name="triton"):
    return {"reason": "Unhealthy", "message": message, "involvedObject": {"fieldPath": f"spec.containers{{{name}}}"}}


class Cluster:
    """A cluster whose objects a test chooses; `deployments` are given one after the other, the last one for ever.

    `others` are the objects of other kinds, by kind and name.
    """

    context, kubeconfig = "prod", None

    def __init__(self, deployments, pods, events=(), logs=(), nodes=(), log=("booting again",), others=None):
        self.others = others or {}
        self.deployments, self.pods, self._events, self._logs = list(deployments), pods, list(events), list(logs)
        self._nodes, self._log = nodes, list(log)
        self.patches = []

    def patch(self, kind, namespace, name, patch):
        self.patches.append((kind, name, patch))

    def get(self, kind, namespace, name):
        if kind != "deployments":
            return self.others.get((kind, name))
        return self.deployments.pop(0) if len(self.deployments) > 1 else self.deployments[0]

    def select(self, kind, namespace, labels):
        if kind == "endpointslices":
            return [self.others[kind, labels["kubernetes.io/service-name"]]]
        return self.pods if kind == "pods" else [replica_set(1), replica_set(2)]

    def nodes(self, labels):
        return self._nodes

    def events(self, namespace, name):
        return self._events

    def logs(self, namespace, pod, container, *, previous=False, lines=200):
        return self._logs if previous else self._log


def replica_set(revision):
    metadata = {
        "name": f"m-{revision}",
        "namespace": "serving",
        "labels": {"pod-template-hash": str(revision)},
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
    }
    return {"metadata": metadata, "spec": {"selector": {"matchLabels": LABELS}}}


def deployment(ready, *, wanted=1, old=0, conditions=()):
    return {
        "metadata": {
            "name": "m",
            "namespace": "serving",
            "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {"replicas": wanted, "selector": {"matchLabels": ALL}},
        "status": {
            "observedGeneration": 2,
            "replicas": wanted + old,
            "updatedReplicas": wanted,
            "availableReplicas": ready,
            "readyReplicas": ready,
            "conditions": list(conditions),
        },
    }


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(rollout, "_POLL_SECONDS", 0)


def test_a_pod_that_is_about_to_end_is_not_ready():
    assert is_ready(pod("a", ready=True))
    assert not is_ready(pod("a", ready=True, ending=True))


def test_the_schedulers_words_are_quoted():
    (trouble,) = troubles(pod("a", scheduled=False), [])
    assert str(trouble) == "pod a: Unschedulable: 1 Insufficient gpu."
    assert not trouble.final


def node(*taints, ready="True"):
    conditions = [{"type": "Ready", "status": ready, "message": "kubelet stopped posting"}]
    return {"metadata": {"name": "gpu-0"}, "spec": {"taints": list(taints)}, "status": {"conditions": conditions}}


SKU = {"key": "sku", "value": "gpu", "effect": "NoSchedule"}
PRESSURE = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "kept_off"),
    [
        ({}, True),
        ({"key": "sku", "operator": "Equal", "value": "cpu", "effect": "NoSchedule"}, True),
        ({"key": "sku", "operator": "Exists", "effect": "NoExecute"}, True),
        ({"key": "sku", "operator": "Equal", "value": "gpu"}, False),
        ({"key": "sku", "operator": "Exists", "effect": "NoSchedule"}, False),
        ({"operator": "Exists"}, False),
    ],
)
def test_the_taints_that_keep_a_pod_off_a_node_are_told(toleration, kept_off):
    found = {"spec": {"tolerations": [toleration] if toleration else []}}
    lines = node_lines(found, [node(SKU)])
    assert lines == ["node gpu-0: taints that the pod does not tolerate: sku=gpu:NoSchedule"] * kept_off


def test_a_pod_without_a_node_is_told_with_the_pools_nodes():
    waiting = pod("a", scheduled=False)
    waiting["spec"] = {"nodeSelector": {"agentpool": "gpu"}}

    def told(nodes):
        with pytest.raises(RolloutError) as failure:
            await_rollout(Cluster([deployment(0)], [waiting], nodes=nodes), ROLLOUT, print)
        return str(failure.value).splitlines()

    assert "  no node has the pool's label agentpool=gpu" in told([])
    pressure = "taints that the pod does not tolerate: node.kubernetes.io/memory-pressure:NoSchedule"
    assert f"  node gpu-0: {pressure}" in told([node(PRESSURE)])
    assert f"  node gpu-0: not ready: kubelet stopped posting; {pressure}" in told([node(PRESSURE, ready="Unknown")])
    assert not [line for line in told(None) if "node gpu-0" in line]
    assert "  and 2 more nodes" in told([node(PRESSURE)] * 12)


def test_a_model_that_triton_gave_up_ends_the_watching():
    marked = FAILED.replace("model digits", "[final] model digits")
    (trouble,) = troubles(pod("a", containers=[container()]), [unhealthy("refused"), unhealthy(marked)])
    assert trouble.final
    assert trouble.text == f"triton: {FAILED}"


def test_a_triton_that_is_starting_does_not():
    (trouble,) = troubles(pod("a", containers=[container()]), [unhealthy("Startup probe failed: connection refused")])
    assert not trouble.final


@pytest.mark.parametrize(("failures", "final"), [(1, False), (3, True)])
def test_a_registry_may_hiccup_but_not_for_long(failures, final):
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    events = [{"reason": "Failed", "message": "Failed to pull image: not found", "count": failures}]
    (trouble,) = troubles(pod("a", containers=[container(waiting=waiting)]), events)
    assert trouble.final == final


def test_a_container_that_ended_is_final_once_it_was_restarted():
    ended = {"exitCode": 3, "reason": "Error"}
    (first,) = troubles(pod("a", containers=[container(terminated=ended)]), [])
    (again,) = troubles(pod("a", containers=[container(restarts=1, terminated=ended)]), [])
    assert (first.final, again.final) == (False, True)
    assert again.text == "triton ended with exit code 3 (Error)"


def test_a_rollout_is_awaited_until_its_replicas_are_ready():
    said = []
    cluster = Cluster([deployment(0, old=1), deployment(0), deployment(1)], [pod("a", ready=True)])
    await_rollout(cluster, Rollout("serving", "m", 60, 60, 60), said.append)
    assert said == ["1 of 1 new replicas of m are ready"]


def test_a_pod_that_a_former_attempt_left_ends_nothing():
    said = []
    ended = container(restarts=1, terminated={"exitCode": 3, "reason": "Error"})
    cluster = Cluster([deployment(0), deployment(0), deployment(1)], [pod("a", containers=[ended], ending=True)])
    await_rollout(cluster, Rollout("serving", "m", 60, 60, 0), said.append)
    assert said == ["0 of 1 new replicas of m are ready"]


def recreated(*, served="1", paused=False, **changed):
    """A Deployment that stops its old replica for the new one."""
    found = deployment(0, **changed)
    found["spec"] |= {"strategy": {"type": "Recreate"}, "paused": paused}
    found["metadata"]["annotations"] |= {"triton-serving/served": served}
    return found


BROKEN = [container("scorer", restarts=1, terminated={"exitCode": 3, "reason": "Error"})]


def test_where_the_old_replica_had_to_stop_it_starts_again_when_the_new_one_fails():
    cluster = Cluster([recreated()], [pod("a", containers=BROKEN)])
    with pytest.raises(RolloutError, match="the version of before starts again"):
        await_rollout(cluster, ROLLOUT, print)
    assert cluster.patches == [
        ("deployments", "m", {"spec": {"paused": True}}),
        ("replicasets", "m-1", {"spec": {"replicas": 1}}),
        ("replicasets", "m-2", {"spec": {"replicas": 0}}),
    ]
    fallen = recreated(paused=True)
    fallen["status"]["availableReplicas"] = 1
    state, problems = measure(Cluster([fallen], []), "serving", "m", Needs())
    assert (state, problems[0][:29]) == ("Unhealthy", "the new version did not start")


def test_the_next_rollout_tries_the_new_version_again():
    cluster = Cluster([recreated(paused=True), recreated(paused=True), deployment(1)], [pod("a", ready=True)])
    await_rollout(cluster, Rollout("serving", "m", 60, 60, 60), print)
    assert cluster.patches[0] == ("deployments", "m", {"spec": {"paused": False}})


def test_nothing_is_started_again_where_it_goes_on_or_never_served():
    rolling = deployment(0)
    rolling["metadata"]["annotations"] |= {"triton-serving/served": "1"}
    for found in (rolling, recreated(served="2"), recreated(served="0")):
        cluster = Cluster([found], [pod("a", containers=BROKEN)])
        with pytest.raises(RolloutError):
            await_rollout(cluster, ROLLOUT, print)
        assert cluster.patches == []


def test_a_version_that_passed_is_remembered():
    cluster = Cluster([deployment(1)], [pod("a", ready=True)])
    await_rollout(cluster, Rollout("serving", "m", 60, 60, 60), print)
    assert cluster.patches == [("deployments", "m", {"metadata": {"annotations": {"triton-serving/served": "2"}}})]


class Cancelling(Cluster):
    """A cluster at which somebody cancels while its pods are looked at."""

    def events(self, namespace, name):
        waiting.cancel()
        return super().events(namespace, name)


STARTING = [container(running={})]


@pytest.fixture
def _cancellable(monkeypatch):
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())


@pytest.mark.usefixtures("_cancellable")
def test_where_the_old_replica_had_to_stop_it_starts_again_when_somebody_cancels():
    said, cluster = [], Cancelling([recreated()], [pod("a", containers=STARTING)])
    with pytest.raises(waiting.Cancelled):
        await_rollout(cluster, Rollout("serving", "m", 600, 600, 60), said.append)
    assert cluster.patches == [
        ("deployments", "m", {"spec": {"paused": True}}),
        ("replicasets", "m-1", {"spec": {"replicas": 1}}),
        ("replicasets", "m-2", {"spec": {"replicas": 0}}),
    ]
    assert said[-1] == "cancelled: the version of before of m starts again"


@pytest.mark.usefixtures("_cancellable")
def test_one_that_is_cancelled_before_its_first_look_leaves_the_old_version_too():
    waiting.cancel()
    cluster = Cluster([recreated()], [pod("a", containers=STARTING)])
    with pytest.raises(waiting.Cancelled):
        await_rollout(cluster, Rollout("serving", "m", 600, 600, 60), print)
    assert [name for _, name, _ in cluster.patches] == ["m", "m-1", "m-2"]


@pytest.mark.usefixtures("_cancellable")
def test_a_cancelled_rollout_beside_the_old_replica_leaves_it_to_kubernetes():
    cluster = Cancelling([deployment(0, old=1)], [pod("a", containers=STARTING)])
    with pytest.raises(waiting.Cancelled):
        await_rollout(cluster, Rollout("serving", "m", 600, 600, 60), print)
    assert cluster.patches == []


@pytest.mark.usefixtures("_cancellable")
def test_a_service_that_was_woken_for_a_cancelled_rollout_may_sleep_again():
    asleep, woken = deployment(0, wanted=0), deployment(0)
    cluster = Cancelling([asleep, asleep, woken], [pod("a", containers=STARTING)])
    with pytest.raises(waiting.Cancelled):
        await_rollout(cluster, Rollout("serving", "m", 600, 600, 60, Needs(least=0, most=4)), print)
    assert cluster.patches[-1] == ("scaledobjects.keda.sh", "m", {"metadata": {"annotations": {PAUSED: None}}})


@pytest.mark.usefixtures("_cancellable")
def test_new_replicas_that_serve_stay_when_somebody_cancels_the_wait_for_the_old_ones():
    class Late(Cluster):
        def select(self, kind, namespace, labels):
            if kind == "pods" and labels == ALL:
                waiting.cancel()
                return [*self.pods, pod("old", ready=True)]
            return super().select(kind, namespace, labels)

    served = recreated()
    served["status"]["availableReplicas"] = 1
    cluster = Late([served], [pod("a", ready=True)])
    with pytest.raises(waiting.Cancelled):
        await_rollout(cluster, Rollout("serving", "m", 600, 600, 60), print)
    assert [patch for patch in cluster.patches if "spec" in patch[2]] == []


def test_a_failure_to_start_it_again_does_not_hide_why_the_new_one_failed():
    class Forbidding(Cluster):
        def patch(self, kind, namespace, name, patch):
            raise ClusterError("the cluster refuses: forbidden")

    with pytest.raises(RolloutError, match="scorer ended with exit code 3") as failure:
        await_rollout(Forbidding([recreated()], [pod("a", containers=BROKEN)]), ROLLOUT, print)
    assert "the version of before is not started again: the cluster refuses: forbidden" in str(failure.value)


PAUSED = "autoscaling.keda.sh/paused-replicas"


@pytest.mark.parametrize("fails", [False, True])
def test_a_service_that_sleeps_is_woken_for_its_rollout(fails):
    asleep, woken = deployment(0, wanted=0), deployment(0 if fails else 1)
    pods = [pod("a", containers=BROKEN)] if fails else [pod("a", ready=True)]
    cluster = Cluster([asleep, asleep, woken], pods)
    with pytest.raises(RolloutError) if fails else contextlib.nullcontext():
        await_rollout(cluster, Rollout("serving", "m", 60, 60, 60, Needs(least=0, most=4)), print)
    assert cluster.patches[:2] == [
        ("scaledobjects.keda.sh", "m", {"metadata": {"annotations": {PAUSED: "1"}}}),
        ("deployments", "m", {"spec": {"replicas": 1}}),
    ]
    assert cluster.patches[-1] == ("scaledobjects.keda.sh", "m", {"metadata": {"annotations": {PAUSED: None}}})


def test_one_that_is_awake_is_left_to_its_autoscaler():
    cluster = Cluster([deployment(1)], [pod("a", ready=True)])
    await_rollout(cluster, Rollout("serving", "m", 60, 60, 60, Needs(least=0, most=4)), print)
    assert {kind for kind, *_ in cluster.patches} == {"deployments"}


LOG = [
    'I1125 13:00:01.000001 1 model_lifecycle.cc:472] "loading: digits:1"',
    """E1125 13:00:09.000001 1 model_lifecycle.cc:654] "failed to load 'digits' version 1: Internal: no\\ntensor\"""",
    "I1125 13:00:09.000002 1 model_lifecycle.cc:789] \"failed to load 'digits'\"",
]


REFUSED = (
    "E1125 13:00:01.000001 1 model_repository_manager.cc:1460] \"Poll failed for model directory 'digits': default "
    'priority level must be in range [1, 2] for digits"'
)


@pytest.mark.parametrize("mark", ["", "[final] "])
def test_a_model_that_triton_refused_unread_is_told_in_its_words(mark):
    failed = (
        f"Startup probe failed: {mark}model digits version 1: received: Triton refused it when it read its repository"
    )
    starting = pod("a", containers=[container(running={})])
    cluster = Cluster([deployment(0)], [starting], [unhealthy(failed)], log=[*LOG[:1], REFUSED])
    with pytest.raises(RolloutError) as failure:
        await_rollout(cluster, Rollout("serving", "m", 600, 600, 0), print)
    assert (
        "  pod a: triton: Poll failed for model directory 'digits': default priority level must be in range [1, 2]"
        in (str(failure.value))
    )


@pytest.mark.parametrize(("log", "fails"), [(LOG, True), (LOG[:1], False)])
def test_a_model_that_fails_late_is_told_from_tritons_log_when_its_events_were_dropped(log, fails):
    """After 25 failed probes the kubelet sends one event in five minutes."""
    starting = unhealthy("Startup probe failed: model digits version 1: received state LOADING")
    cluster = Cluster([deployment(0)], [pod("a", containers=[container(running={})])], [starting], log=log)
    with pytest.raises(RolloutError) as failure:
        await_rollout(cluster, Rollout("serving", "m", 0, 600 if fails else 0, 0), print)
    told = "  pod a: triton: failed to load 'digits' version 1: Internal: no tensor"
    assert (told in str(failure.value).splitlines()) == fails


def test_replicas_that_somebody_scaled_away_come_back():
    scaled, again = deployment(0, wanted=0), deployment(1)
    cluster = Cluster([scaled, again], [pod("a", ready=True)])
    await_rollout(cluster, Rollout("serving", "m", 60, 60, 60, Needs(least=1, most=4)), print)
    assert cluster.patches[0] == ("deployments", "m", {"spec": {"replicas": 1}})


def test_a_new_replica_that_serves_is_no_old_one():
    """Of two that were wanted, one is there."""
    half = [pod("a", ready=True), pod("b", containers=BROKEN)]
    with pytest.raises(RolloutError, match="; 1 of them serve"):
        await_rollout(Cluster([deployment(1, wanted=2)], half), replace(ROLLOUT, needs=Needs(least=2, most=2)), print)


def test_a_quota_that_refuses_pods_is_told():
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    with pytest.raises(RolloutError, match="FailedCreate: exceeded quota"):
        await_rollout(Cluster([deployment(0, conditions=[refused])], []), ROLLOUT, print)


def test_a_deployment_that_is_not_there_is_told():
    with pytest.raises(RolloutError, match="no Deployment m in the namespace serving"):
        await_rollout(Cluster([None], []), ROLLOUT, print)


def test_old_replicas_that_do_not_end_are_told_and_do_not_fail_the_rollout():
    said = []

    class Lingering(Cluster):
        def select(self, kind, namespace, labels):
            found = super().select(kind, namespace, labels)
            return [*found, pod("old", ending=True)] if kind == "pods" and not self.new() else found

        def new(self):
            self.asked = not getattr(self, "asked", False)
            return not self.asked

    await_rollout(Lingering([deployment(1)], [pod("a", ready=True)]), ROLLOUT, said.append)
    assert said[-1].startswith("1 old replicas have not ended")


def test_the_end_of_a_front_doors_old_pods_is_not_awaited():
    said = []
    cluster = Cluster([deployment(1)], [pod("a", ready=True), pod("old", ending=True)])
    await_rollout(cluster, replace(ROLLOUT, grace=0), said.append)
    assert said == []


@pytest.mark.parametrize(
    ("cluster", "state"),
    [
        (Cluster([None], []), "Stopped"),
        (Cluster([deployment(1)], [pod("a", ready=True)]), "Healthy"),
        (Cluster([deployment(1)], [pod("a", ready=True), evicted("b")]), "Healthy"),
        (Cluster([deployment(0)], [pod("a")]), "Unhealthy"),
    ],
)
def test_the_state_is_measured(cluster, state):
    assert measure(cluster, "serving", "m", Needs())[0] == state


def test_pods_that_do_not_end_are_noticed():
    assert await_gone(Cluster([None], []), "serving", "m", LABELS, 0)
    assert not await_gone(Cluster([None], [pod("a")]), "serving", "m", LABELS, 0)


def test_pods_of_a_deployment_that_goes_on_are_not_waited_for():
    assert await_gone(Cluster([deployment(1)], [pod("a", ready=True)]), "serving", "m", LABELS, 60)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/models", "s3://bucket/models"),
        ("gs://bucket", "gs://bucket"),
        ("abfs://models@account.dfs.core.windows.net/triton/x", "as://account/models/triton/x"),
        ("az://models/x", None),
        (".var/registry", None),
    ],
)
def test_object_stores_are_named_as_triton_names_them(url, expected):
    assert triton_url(url) == expected


def test_a_store_that_triton_cannot_read_is_refused():
    assert repository_url("s3://bucket/models/", "m", "content/1") == "s3://bucket/models/m/content/1/triton"
    with pytest.raises(ValueError, match="registry abfs://models/x: Triton reads"):
        repository_url("abfs://models/x", "m", "content/1")
