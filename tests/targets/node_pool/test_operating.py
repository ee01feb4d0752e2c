"""`make status`, `make logs`, `make check` and `make outputs` for a service on a node pool."""

import io

import pytest
import yaml
from rich.console import Console

from operate.outputs import commands
from settings.schema import Target
from targets.contract import Stack, verbs_of
from targets.errors import ServiceError
from targets.node_pool import status
from targets.node_pool.cluster.cluster_client import Cluster, ClusterError
from tests.targets.node_pool.test_rollouts import Cluster as Shown
from tests.targets.node_pool.test_rollouts import container, deployment, pod

VERBS = verbs_of(Target.NODE_POOL)


def stack(options):
    return Stack(settings=options.settings)


@pytest.fixture
def screen():
    return Console(file=io.StringIO(), width=120)


def test_status_shows_the_state_and_the_pods(options, screen, monkeypatch):
    broken = pod("svc-1", containers=[container("scorer", restarts=2, terminated={"exitCode": 3, "reason": "Error"})])
    monkeypatch.setattr(status, "expected_cluster", lambda *_: Shown([deployment(0)], [broken]))
    assert VERBS.status(stack(options()), screen) == 1
    shown = screen.file.getvalue()
    assert "triton-webservice: Unhealthy" in shown
    assert "pod svc-1: scorer ended with exit code 3 (Error)" in shown
    assert "there is no Service triton-webservice-replicas in the namespace serving" in shown
    assert [word for word in shown.splitlines() if "svc-1 " in word and " no " in word]


def test_logs_are_kubectls(options, screen, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit 3\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{kubectl.parent}:/usr/bin:/bin")
    asked_for = options(pool={"context": "prod", "namespace": "serving"})
    assert VERBS.logs(stack(asked_for), follow=True, as_json=False, lines=70) == 3
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("--context prod --namespace serving logs --selector ")
    assert " --tail=70 " in asked
    assert asked.endswith("--follow\n")
    assert "in (replica,candidate,front-door)" in asked


def test_logs_of_another_stacks_cluster_are_kubectls_by_its_kubeconfig_alone(options, monkeypatch, tmp_path):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\ncat "$KUBECONFIG" "$KUBECONFIG" > {tmp_path}/read\necho "$@" > {tmp_path}/asked\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "mine"))
    pool = {"clusterStack": "organization/infra/prod"}
    elsewhere = Stack(settings=options(pool=pool).settings, kubeconfig="text: s3cret\n")
    assert VERBS.logs(elsewhere, follow=False, as_json=False) == 0
    assert (tmp_path / "read").read_text() == "text: s3cret\n" * 2
    assert "s3cret" not in (tmp_path / "asked").read_text()


def test_a_stack_never_shows_its_kubeconfig(options):
    assert "s3cret" not in repr(Stack(settings=options().settings, kubeconfig="s3cret"))


def test_without_kubectl_the_command_is_told(options, screen, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="kubectl is not on PATH; the command is: kubectl --namespace default logs"):
        VERBS.logs(stack(options()), follow=False, as_json=False)


def test_check_says_where_it_can_be_run(options, screen):
    with pytest.raises(ServiceError, match="target 'process' or 'docker'"):
        VERBS.check(stack(options()), screen)


def test_outputs_lead_to_a_service_inside_the_cluster(options):
    values = {
        "scoringUri": "http://triton-webservice.default.svc",
        "tritonUri": "http://triton-webservice.default.svc",
        "metricsUri": "http://triton-webservice-replicas.default.svc:8002/metrics",
        "portForward": "kubectl port-forward …",
    }
    lines = list(commands(values, options().settings, "aks-gpu"))
    assert "  kubectl port-forward …" in lines
    (health,) = [line for line in lines if "/v2/health/ready" in line]
    assert "--connect-to ::localhost:6789 http://triton-webservice.default.svc/v2/health/ready" in health
    assert not any("8002" in line for line in lines)


def test_an_expired_login_is_told_in_one_line(tmp_path, monkeypatch):
    login = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", "echo 'ERROR: your token expired' >&2; echo run: az login >&2; exit 1"],
    }
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": login}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(ClusterError) as failure:
        Cluster("").select("pods", "default", {})
    assert "login failed: " in str(failure.value)
    assert str(failure.value).endswith("ERROR: your token expired run: az login; log in again")
