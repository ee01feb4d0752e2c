"""How a replica starts, is asked and stops."""

import json
from base64 import b64encode

import pytest


def grace_of(pod):
    return pod["terminationGracePeriodSeconds"]


def seconds_of(hook):
    assert hook["preStop"]["exec"]["command"][0] == "sleep"
    return int(hook["preStop"]["exec"]["command"][1])


def exit_timeout(triton):
    (argument,) = [word for word in triton["args"] if word.startswith("--exit-timeout-secs=")]
    return int(argument.partition("=")[2])


@pytest.mark.parametrize("drain", [0, 30, 120])
def test_the_grace_period_holds_the_hook_and_every_servers_drain(rendered, drain):
    found = rendered(shape="triton and scorer", deployment={"rollout": {"drainSeconds": drain}})
    scorer, triton = found.container("scorer"), found.container("triton")
    (drained,) = [int(v["value"]) for v in scorer["env"] if v["name"] == "GRACEFUL_TIMEOUT"]
    assert drained == max(1, drain)
    assert grace_of(found.replica) > seconds_of(scorer["lifecycle"]) + drained + exit_timeout(triton)


def test_triton_alone_waits_itself_until_nobody_asks_it_any_more(rendered):
    found = rendered(pool={"dnsTtlSeconds": 30})
    triton = found.container("triton")
    assert seconds_of(triton["lifecycle"]) >= 30
    assert grace_of(found.replica) > seconds_of(triton["lifecycle"]) + exit_timeout(triton)


def test_beside_a_scorer_triton_starts_first_and_stops_last(rendered):
    pod = rendered(shape="triton and scorer").replica
    assert [c["name"] for c in pod["initContainers"]] == ["triton"]
    assert pod["initContainers"][0]["restartPolicy"] == "Always"
    assert [c["name"] for c in pod["containers"]] == ["scorer"]


def test_the_gate_asks_for_every_model_and_the_golden_inference(rendered):
    triton = rendered().container("triton")
    asked = ["python", "-I", "-m", "serving.probing.probe", "/opt/service/probe/triton.json", "--mark-final"]
    assert triton["startupProbe"]["exec"]["command"] == triton["readinessProbe"]["exec"]["command"] == asked


def test_a_golden_answer_has_a_requests_time_before_traffic_and_more_of_it_later(rendered):
    triton = rendered(deployment={"scoringTimeoutMs": 2500}).container("triton")
    assert triton["startupProbe"]["exec"]["command"][-2:] == ["--timeout", "2.5"]
    assert "--timeout" not in triton["readinessProbe"]["exec"]["command"]


def test_a_replica_has_the_rollouts_deadline_to_start(rendered):
    found = rendered(pool={"provisionSeconds": 100}, deployment={"rollout": {"deadlineSeconds": 1200}})
    probe = found.container("triton")["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 1200
    assert found.one("Deployment")["spec"]["progressDeadlineSeconds"] == 1300


def test_a_busy_scorer_is_not_killed_for_being_slow(rendered):
    assert "tcpSocket" in rendered(shape="scorer").container("scorer")["livenessProbe"]


def variables(container):
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_triton_reads_the_registry_itself_where_bundles_are_too_large_for_an_image(rendered):
    pool = {"modelsFrom": "registry", "credentialsSecret": "bucket", "downloadGb": 40}
    found = rendered(pool=pool, registry="s3://bucket/models")
    triton = found.container("triton")
    assert triton["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert triton["resources"]["requests"]["ephemeral-storage"] == "40Gi"
    (scratch,) = [v for v in found.replica["volumes"] if v["name"] == "scratch"]
    assert scratch["emptyDir"]["sizeLimit"] == f"{(40 + 4) * 1024}Mi"  # memoryGb is 4


@pytest.mark.parametrize(("registry", "named"), [("gs://bucket/models", True), ("s3://bucket/models", False)])
def test_credentials_are_files_too_and_googles_are_named_as_one(rendered, registry, named):
    pool = {"modelsFrom": "registry", "credentialsSecret": "bucket"}
    found = rendered(shape="triton and scorer", pool=pool, registry=registry)
    (volume,) = [v for v in found.replica["volumes"] if v["name"] == "credentials"]
    assert volume["secret"] == {"secretName": "bucket", "defaultMode": 0o440}
    for container in (found.container("triton"), found.container("scorer")):  # a script collects data there
        (mount,) = [m for m in container["volumeMounts"] if m["name"] == "credentials"]
        assert (mount["mountPath"], mount["readOnly"]) == ("/etc/credentials", True)
        assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
        file = "/etc/credentials/credentials.json" if named else None
        assert variables(container).get("GOOGLE_APPLICATION_CREDENTIALS") == file


def test_the_images_password_pulls_it_too(rendered):
    image = {"repository": "registry.example/team/triton", "username": "robot"}
    found = rendered(pool={"imagePullSecrets": ["envoys"]}, image=image, imagePassword="s3cret")
    secret = found.one("Secret", "-image-pull")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    auths = json.loads(secret["stringData"][".dockerconfigjson"])["auths"]
    assert auths == {"registry.example": {"auth": b64encode(b"robot:s3cret").decode()}}
    for pod in (found.replica, found.envoy):
        assert pod["imagePullSecrets"] == [{"name": "envoys"}, {"name": "triton-webservice-image-pull"}]


def test_envoy_goes_on_while_load_balancers_forget_it_and_then_drains(rendered):
    found = rendered(deployment={"rollout": {"drainSeconds": 20}})
    (envoy,) = found.envoy["containers"]
    script = envoy["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert script.index("POST /healthcheck/fail") < script.index("sleep 5") < script.index("/drain_listeners?graceful")
    assert "second < 20 " in script
    assert grace_of(found.envoy) > 25
    assert found.one("Deployment", "-front-door")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


TLS = {"certificateFile": "certificate.pem", "keyFile": "key.pem"}


@pytest.mark.parametrize(
    ("preset", "exposure", "seconds"),
    [
        ("eks-gpu", {"kind": "loadBalancer"}, 120),
        ("eks-gpu", {"kind": "cluster"}, 5),
        ("aks-gpu", {"kind": "loadBalancer"}, 5),
        (
            "my-gpus",
            {
                "kind": "loadBalancer",
                "annotations": {"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip"},
            },
            120,
        ),
    ],
)
def test_a_balancer_that_sends_to_pods_counts_them_when_it_found_them_and_has_time_to_forget_them(
    rendered, preset, exposure, seconds
):
    pool = {"namespace": "serving", "createNamespace": True, "exposure": exposure}
    pool |= {"nodeSelector": {"gpu": "a100"}} if preset == "my-gpus" else {}
    found = rendered(preset, pool=pool, tls=TLS)
    (namespace,) = found.all("Namespace")
    gate = namespace["metadata"]["labels"].get("elbv2.k8s.aws/pod-readiness-gate-inject")
    assert (gate == "enabled") == (seconds > 5)
    (envoy,) = found.envoy["containers"]
    assert f"sleep {seconds}\n" in envoy["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert grace_of(found.envoy) > seconds + 60


@pytest.mark.parametrize(("tls", "scheme"), [(None, "HTTP"), (TLS, "HTTPS")])
def test_envoy_is_ready_when_its_own_port_says_so_as_balancers_ask_it(rendered, tls, scheme):
    (envoy,) = rendered(tls=tls).envoy["containers"]
    asked = {"path": "/healthz", "port": "front-door", "scheme": scheme}
    assert envoy["readinessProbe"]["httpGet"] == envoy["startupProbe"]["httpGet"] == asked
    assert envoy["livenessProbe"]["httpGet"] == {"path": "/ready", "port": "statistics"}


def test_requests_under_way_get_as_long_as_any_request_may_take(rendered):
    found = rendered(shape="triton and scorer", deployment={"scoringTimeoutMs": 90_500})
    assert exit_timeout(found.container("triton")) == 91
    assert grace_of(found.replica) > 2 * 91
    assert grace_of(found.envoy) > 91


@pytest.mark.parametrize("shape", ["triton", "triton and scorer"])
def test_a_sidecars_ports_are_named_by_number(rendered, shape):
    ports = rendered(shape=shape).one("Service", "-replicas")["spec"]["ports"]
    assert all(port["targetPort"] == port["port"] for port in ports)
