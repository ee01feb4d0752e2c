"""A service on a real cluster: what runs where, who gets an answer, and what happens when versions and pods change."""

import json
import re
from dataclasses import replace

import pytest

from settings.node_pool import Monitoring
from targets.node_pool.object_names import FRONT_DOOR, REPLICA
from targets.node_pool.objects.alerts import alerts
from targets.node_pool.objects.dashboard import dashboard
from targets.node_pool.rollout import Rollout, RolloutError, await_rollout
from tests.attacks import attacks
from tests.cluster.images import PROJECT
from tests.cluster.kube import KINDS, await_fit_node
from tests.cluster.service import DEPLOYMENT, Service
from tests.waiting import eventually

GOLDEN = json.loads((PROJECT / "examples" / "scripts" / "score_digits.golden.json").read_text())


def test_pods_run_on_the_pool_with_the_gpu_allotted(service):
    pod, node = service.replica(), service.kube.node()
    assert node.labels["agentpool"] == "gpu"
    assert pod.spec.nodeName == node.name
    (triton,) = [c for c in pod.spec.initContainers if c.name == "triton"]
    assert triton.resources.limits["nvidia.com/gpu"] == triton.resources.requests["nvidia.com/gpu"] == "1"
    assert len(service.kube.pods(service.namespace, service.labels(FRONT_DOOR))) == 2


def test_score_and_triton_answer_with_a_key_and_refuse_without(service):
    assert service.score(GOLDEN["request"]) == (200, GOLDEN["response"])
    for path in ("/v2/health/ready", "/v2/models/digits/ready", "/swagger.json", "/"):
        assert [service.get(path, key) for key in (None, service.keys.secondary, "", "wrong-key-of-a-stranger")] == [
            200,
            200,
            401,
            401,
        ]
    assert service.get("/v2/repository/index") == 404


def test_one_request_does_not_end_the_service(service):
    def restarts():
        pods = [service.replica(), *service.kube.pods(service.namespace, service.labels(FRONT_DOOR))]
        statuses = [(*pod.status.get("initContainerStatuses", ()), *pod.status.containerStatuses) for pod in pods]
        return {
            (pod.name, status.name): status.restartCount
            for pod, found in zip(pods, statuses, strict=True)
            for status in found
        }

    before = restarts()
    with service.client() as client:
        for attack in attacks("image", 64):
            answer = client.post(f"/v2/models/digits/{attack.verb}", content=attack.body, headers=dict(attack.headers))
            assert answer.status_code in attack.statuses, (attack.name, answer.text)
    assert service.score(GOLDEN["request"]) == (200, GOLDEN["response"])
    assert restarts() == before


def test_pods_run_hardened_with_their_shared_memory(service):
    for container in ("triton", "scorer"):
        command = 'id -u; touch /opt/x 2>&1; ls /var/run/secrets 2>&1; grep -E "^(CapEff|Seccomp):" /proc/self/status'
        found = service.kube.execute(service.replica(), container, "sh", "-c", command)
        assert found.startswith("1000\n")
        assert "Read-only file system" in found
        assert "serviceaccount" not in found
        assert re.search(r"CapEff:\s+0+\n", found)
        assert re.search(r"Seccomp:\s+2\n", found)
    size = service.kube.execute(service.replica(), "triton", "sh", "-c", "df -m --output=size /dev/shm | tail -1")
    assert int(size) == 2 * 1024 * 3 // 4 // 4  # a quarter of Triton's three quarters of memoryGb


def test_dashboard_and_alerts_ask_for_metrics_that_are_there(service, built):
    options = service.options(*built.good)
    pool = options.pool.model_copy(
        update={"monitoring": Monitoring.model_validate({"alerts": True, "dashboard": True})}
    )
    options = type(options)(
        settings=options.settings.model_copy(update={"node_pool": pool}),
        triton=True,
        scorer=True,
        owner="",
        contents=options.contents,
    )
    asked = set(re.findall(r"\b(?:nv|envoy)_[a-z0-9_]+(?=\{)", json.dumps([dashboard(options), alerts(options)])))
    fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
    replicas = f"http://{service.name}-replicas:8002/metrics"
    (envoy, *_) = service.kube.pods(service.namespace, service.labels(FRONT_DOOR))
    served = "".join(
        service.kube.execute(service.replica(), "scorer", "python", "-c", fetch, url)
        for url in (replicas, f"http://{envoy.status.podIP}:9901/stats/prometheus")
    )
    there = set(re.findall(r"^([a-z0-9_]+)[{ ]", served, re.MULTILINE))
    without_gpu = {name for name in asked if name.startswith("nv_gpu_")}
    assert len(asked) > 10
    assert asked - without_gpu <= there


def test_a_rolling_update_loses_no_request(service, built):
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        service.deploy(*built.newer)
        assert service.versions() == ["2"]
        service.deploy(*built.good)
        assert service.versions() == ["1"]
    (result,) = counted
    assert result["failures"] == []
    assert min(result["answered"]) > 50


def test_a_rotated_key_reaches_the_front_door_and_loses_no_request(service, built):
    before = service.keys.secondary
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        service.rotate_secondary_key()
        service.deploy(*built.good)
    assert counted[0]["failures"] == []
    assert service.get("/v2/health/ready", before) == 401
    assert service.get("/v2/health/ready", service.keys.secondary) == 200


@pytest.fixture(autouse=True)
def _left_as_found(service, built):
    """Put the good version back after a test that failed in the middle."""
    yield
    if len(service.kube.pods(service.namespace, service.labels(REPLICA))) != 1:
        service.deploy(*built.good)


@pytest.mark.parametrize(
    ("broken", "reasons"),
    [
        ("broken_model", ["triton: failed to load 'digits' version 1", "Protobuf parsing failed"]),
        ("broken_script", ["Traceback (most recent call last)", "RuntimeError: no weights"]),
    ],
)
def test_what_does_not_start_never_takes_traffic_and_the_failure_says_why(service, built, broken, reasons):
    serving = service.replica().name
    with service.hammered(built.good[0], GOLDEN["request"]) as counted:
        rollout = service.apply(*getattr(built, broken))
        with pytest.raises(RolloutError) as failure:
            await_rollout(service.cluster, rollout, print)
        with pytest.raises(RolloutError):  # and so it does when asked again
            await_rollout(service.cluster, rollout, print)
        assert service.measured()[0] == "Unhealthy"
    text = str(failure.value)
    for words in [*reasons, "events of pod", "the old replica goes on serving", "logs pod/digits-"]:
        assert words in text
    assert counted[0]["failures"] == []
    service.deploy(*built.good)
    assert service.replica().name == serving


def test_where_the_old_replica_had_to_stop_it_starts_again_when_the_new_one_fails(service, built):
    rollout = service.apply(*built.broken_script, rollout={**DEPLOYMENT["rollout"], "strategy": "recreate"})
    for _ in range(2):  # asked again, it tries the new one again
        with pytest.raises(RolloutError, match="RuntimeError: no weights") as failure:
            await_rollout(service.cluster, rollout, print)
        assert "the version of before starts again" in str(failure.value)
        service.await_answers()
        assert service.score(GOLDEN["request"]) == (200, GOLDEN["response"])
        assert service.measured()[0] == "Unhealthy"
    service.deploy(*built.good)
    assert service.measured()[0] == "Healthy"


def test_replicas_that_somebody_scaled_away_are_missed_and_come_back(service, built):
    service.cluster.patch("deployments", service.namespace, service.name, {"spec": {"replicas": 0}})
    assert service.measured() == (
        "Unhealthy",
        [f"the Deployment {service.name} is scaled to 0, declared are 1; up mends it"],
    )
    said = []
    rollout = Rollout(service.namespace, service.name, 60, 120, 60, service.needs)
    await_rollout(service.cluster, rollout, said.append)
    assert said[0] == f"{service.name} is scaled to 0: back to 1"
    assert service.measured() == ("Healthy", [])


@pytest.mark.parametrize("kind", ["Service", "NetworkPolicy"])
def test_what_traffic_needs_is_missed(service, built, kind):
    (name,) = {"Service": service.needs.services, "NetworkPolicy": service.needs.policies}[kind]
    gone = [one for one in service.manifests if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    service.kube.delete(gone)
    told = f"there is no {kind} {name} in the namespace {service.namespace}"
    eventually(lambda: service.measured() == ("Unhealthy", [told]), "it is missed", 30)
    service.kube.apply(gone)
    eventually(lambda: service.measured() == ("Healthy", []), "it is found again", 30)


def test_a_deleted_pod_is_replaced(service):
    pod = service.replica()
    pod.delete()
    eventually(lambda: service.is_replaced(pod.name), "another replica is ready and answers", 120)


def test_a_triton_that_ended_starts_again(service):
    def restarts():
        (status,) = [s for s in service.replica().status.initContainerStatuses if s.name == "triton"]
        return status.restartCount if status.ready else 0

    pod = service.replica().name
    service.kube.execute(service.replica(), "triton", "sh", "-c", "kill 1")
    eventually(restarts, "Triton is ready again", 120)
    service.await_answers()
    assert service.replica().name == pod
    assert service.score(GOLDEN["request"]) == (200, GOLDEN["response"])


def test_a_drained_node_gives_up_one_envoy_at_a_time_and_the_service_comes_back(service):
    node, before = service.kube.node(), service.replica().name
    doors = service.kube.pods(service.namespace, service.labels(FRONT_DOOR))
    node.cordon()
    try:
        assert service.kube.evict(service.replica()) == 201
        assert [service.kube.evict(pod) for pod in doors] == [201, 429]
    finally:
        node.uncordon()
    service.await_front_door()
    eventually(lambda: service.is_replaced(before), "another replica is ready and answers", 120)


def test_more_gpus_than_the_pool_has_spare_end_in_the_schedulers_words(service, built, tmp_path):
    await_fit_node(service.kube)
    greedy = Service(service.namespace, "greedy", built.envoy, tmp_path, scorer=False)
    rollout = greedy.apply(*built.good, gpuCores=2)
    with pytest.raises(RolloutError, match=r"Unschedulable: .*Insufficient nvidia\.com/gpu") as failure:
        await_rollout(greedy.cluster, replace(rollout, provision=10), print)
    assert "logs pod/" not in str(failure.value)  # none has started
    assert "no replica serves" in str(failure.value)
    greedy.remove()
    left = [name for name in greedy.kube.names(service.namespace, KINDS) if "/greedy" in name]
    assert left == []
    assert len(service.kube.pods(service.namespace, service.labels(REPLICA))) == 1


def test_an_image_file_gets_its_class_through_the_interface_of_densenet(service, built):
    photograph = (PROJECT / "examples" / "scripts" / "photographs" / "espresso.jpg").read_bytes()
    service.model = "densenet_onnx"
    try:
        service.deploy(*built.densenet)
        with service.client() as client:
            headers = {"Content-Type": "application/octet-stream"}
            answer = client.post("/score", content=photograph, headers=headers)
            made = client.get("/v2/models/densenet_onnx").json()["outputs"]
        assert (answer.status_code, answer.text) == (200, "967 : ESPRESSO")
        assert made == [{"name": "fc6_1", "datatype": "FP32", "shape": [1000]}]
    finally:
        service.model = "digits"
        service.deploy(*built.good)
