"""What a failed rollout tells: the reason first, and only what can help."""

import pytest

from targets.node_pool.cluster.diagnosis import node_lines
from targets.node_pool.rollout import Rollout, RolloutError, await_rollout
from tests.targets.node_pool.test_rollouts import (
    ALL,
    BROKEN,
    ROLLOUT,
    Cluster,
    container,
    deployment,
    node,
    pod,
    unhealthy,
)


def test_no_log_is_pointed_to_where_nothing_started():
    waiting = pod("a", scheduled=False)
    with pytest.raises(RolloutError) as failure:
        await_rollout(Cluster([deployment(0)], [waiting]), ROLLOUT, print)
    assert "logs" not in str(failure.value)


def test_a_node_with_too_few_gpus_is_named_and_one_whose_gpus_are_taken_is_not():
    asking = {"spec": {"containers": [{"resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "4"}}}]}}
    offered = node()
    offered["status"]["allocatable"] = {"nvidia.com/gpu": "2", "cpu": "64"}
    assert node_lines(asking, [offered]) == ["node gpu-0: offers 2 nvidia.com/gpu, the pod asks for 4"]
    offered["status"]["allocatable"]["nvidia.com/gpu"] = "4"
    assert node_lines(asking, [offered]) == []


def test_the_exceptions_words_come_before_the_events_and_end_with_it():
    log = ["Traceback (most recent call last):", "  File", "RuntimeError: no weights", "of the model", "", "E1125 more"]
    cluster = Cluster([deployment(0)], [pod("a", containers=BROKEN)], [unhealthy("no answer", "scorer")], log)
    with pytest.raises(RolloutError) as failure:
        await_rollout(cluster, ROLLOUT, print)
    lines = [line.strip() for line in str(failure.value).splitlines()]
    assert lines.index("of the model") < lines.index("events of pod a:")
    assert "E1125 more" not in lines


def test_a_failure_tells_the_events_and_the_traceback():
    log = ["starting", "Traceback (most recent call last):", '  File "score.py", line 2', "RuntimeError: no weights"]
    ended = container("scorer", restarts=1, terminated={"exitCode": 3, "reason": "Error"})

    class Serving(Cluster):
        def select(self, kind, namespace, labels):
            found = super().select(kind, namespace, labels)
            return [*found, pod("old", ready=True)] if kind == "pods" and labels == ALL else found

    cluster = Serving([deployment(1)], [pod("a", containers=[ended])], [unhealthy("no answer", "scorer")], log)
    cluster.deployments[0]["status"]["updatedReplicas"] = 0
    with pytest.raises(RolloutError) as failure:
        await_rollout(cluster, Rollout("serving", "m", 60, 60, 60), print)
    lines = str(failure.value).splitlines()
    assert lines[0].endswith("the old replica goes on serving")
    assert "  pod a: scorer ended with exit code 3 (Error)" in lines
    assert "    1x Unhealthy: no answer" in lines
    assert lines[lines.index("    Traceback (most recent call last):") + 2] == "    RuntimeError: no weights"
    assert "    starting" not in lines


def test_the_command_for_the_whole_log_names_the_pod_that_failed():
    with pytest.raises(RolloutError) as failure:
        await_rollout(Cluster([deployment(0)], [pod("a", containers=BROKEN)]), ROLLOUT, print)
    command = "kubectl --context prod --namespace serving logs pod/a --all-containers"
    assert str(failure.value).endswith(f"  all of it: {command}")
