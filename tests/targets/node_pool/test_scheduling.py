"""Where pods run, what they ask for, and how many may run at once."""

import pytest

from tests.targets.node_pool.conftest import OWN


def test_aks_pods_go_to_the_pool_by_its_label_and_put_up_with_its_taint(rendered):
    pod = rendered("aks-gpu").replica
    assert pod["nodeSelector"] == {"agentpool": "gpu"}
    assert pod["tolerations"] == [{"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("preset", "label", "accelerator"),
    [
        ("eks-gpu", "eks.amazonaws.com/nodegroup", "node.kubernetes.io/instance-type"),
        ("gke-gpu", "cloud.google.com/gke-nodepool", "cloud.google.com/gke-accelerator"),
        ("karpenter", "karpenter.sh/nodepool", "karpenter.k8s.aws/instance-gpu-name"),
    ],
)
def test_pool_and_accelerator_are_chosen_by_the_presets_labels(rendered, preset, label, accelerator):
    pod = rendered(preset, pool={"pool": "a100s", "accelerator": "a100"}).replica
    assert pod["nodeSelector"] == {label: "a100s", accelerator: "a100"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_a_pool_of_ones_own_is_named_by_its_labels_and_taints(rendered):
    pod = rendered("my-gpus", pool=OWN).replica
    assert pod["nodeSelector"] == {"gpu": "a100"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]


def test_without_a_gpu_pods_stay_off_the_pool(rendered):
    pod = rendered(deployment={"gpuCores": 0}).replica
    assert "nodeSelector" not in pod
    assert "tolerations" not in pod
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in pod["containers"][0]["env"]


def test_the_front_door_needs_no_gpu_and_stays_off_the_pool_unless_told(rendered):
    assert "nodeSelector" not in rendered().envoy
    assert rendered(pool={"frontDoor": {"onPool": True}}).envoy["nodeSelector"] == {"agentpool": "gpu"}


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"])
def test_gpus_are_requested_as_they_are_limited_and_only_for_triton(rendered, resource):
    found = rendered(shape="triton and scorer", pool={"gpuResource": resource}, deployment={"gpuCores": 2})
    resources = found.container("triton")["resources"]
    assert resources["requests"][resource] == resources["limits"][resource] == "2"
    assert resource not in found.container("scorer")["resources"]["limits"]


def test_without_triton_the_gpus_are_the_scripts(rendered):
    assert rendered(shape="scorer").container("scorer")["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_triton_and_the_scorer_share_what_a_replica_has(rendered):
    found = rendered(
        shape="triton and scorer", pool={"scorerShare": 0.25, "memoryGbLimit": 8}, deployment={"cpuCores": 2}
    )
    triton, scorer = (found.container(name)["resources"] for name in ("triton", "scorer"))
    assert (triton["requests"]["cpu"], scorer["requests"]["cpu"]) == ("1500m", "500m")
    assert (triton["requests"]["memory"], scorer["requests"]["memory"]) == ("3072Mi", "1024Mi")
    assert (triton["limits"]["memory"], scorer["limits"]["memory"]) == ("6144Mi", "2048Mi")


def test_shared_memory_is_in_memory_with_a_bound(rendered):
    (shm,) = [v for v in rendered().replica["volumes"] if v["name"] == "shared-memory"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "1024Mi"}
    (shm,) = [v for v in rendered(pool={"shmMb": 256}).replica["volumes"] if v["name"] == "shared-memory"]
    assert shm["emptyDir"]["sizeLimit"] == "256Mi"


def test_classes_of_priority_and_runtime_are_named(rendered):
    pod = rendered(pool={"priorityClassName": "high", "runtimeClassName": "nvidia"}).replica
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("high", "nvidia")


def surge(extra):
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": extra, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("preset", "pool", "deployment", "strategy"),
    [
        ("aks-gpu", {}, {}, {"type": "Recreate"}),
        ("aks-gpu", {"spareGpus": 1}, {}, surge(1)),
        ("aks-gpu", {"spareGpus": 1}, {"gpuCores": 2}, {"type": "Recreate"}),
        ("aks-gpu", {"spareGpus": 9, "numReplicas": 3}, {}, surge(3)),
        ("aks-gpu", {}, {"gpuCores": 0}, surge(1)),
        ("karpenter", {}, {}, surge(1)),
        ("karpenter", {}, {"rollout": {"strategy": "recreate"}}, {"type": "Recreate"}),
        (
            "aks-gpu",
            {"numReplicas": 2},
            {},
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        ),
    ],
)
def test_the_rollout_follows_from_the_gpus_that_are_spare(rendered, preset, pool, deployment, strategy):
    assert rendered(preset, pool=pool, deployment=deployment).one("Deployment")["spec"]["strategy"] == strategy
