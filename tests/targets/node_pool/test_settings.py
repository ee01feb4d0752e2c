"""What settings of a node pool are refused, and with which words."""

import shutil

import pytest

from settings.errors import SettingsError
from settings.load import load
from settings.stack_reader import file_of
from tests.targets.node_pool.conftest import DIGITS

MODELS = [{"path": "models", "name": "m"}]
IMAGE = {"repository": "registry.example/service"}


@pytest.fixture
def mistakes(tmp_path):
    """Load settings and give the mistakes in them."""
    shutil.copytree(DIGITS, tmp_path / "models" / "triton" / "digits")

    def find(pool, registry=".var/registry", models=MODELS, **deployment):
        tree = {
            "models": models,
            "image": IMAGE,
            "registry": registry,
            "deployment": {
                "target": "node-pool",
                "computeTargetName": "aks-gpu",
                "maxRequestsPerSecond": 100,
                **deployment,
            },
            "nodePool": pool,
        }
        try:
            load(tree, subject=file_of("test"), project=tmp_path)
        except SettingsError as error:
            return [str(mistake) for mistake in error.mistakes]
        return []

    return find


def test_a_preset_alone_is_enough(mistakes):
    assert mistakes({}) == []


def test_a_cluster_from_another_stack_may_have_a_context_of_its_own(mistakes):
    assert mistakes({"clusterStack": "organization/infra/prod", "kubeconfigOutput": "k", "context": "admin"}) == []


@pytest.mark.parametrize(
    ("pool", "deployment", "words"),
    [
        ({}, {"computeTargetName": "aks-gpus"}, ["deployment.computeTargetName", "did you mean 'aks-gpu'?"]),
        ({}, {"computeTargetName": "mine"}, ["nodePool.nodeSelector", "karpenter"]),
        ({"clusterStack": "infra/prod"}, {}, ["nodePool.clusterStack", "'infra/prod'", "organization/infra/prod"]),
        ({"clusterStack": "a/b/c/d"}, {}, ["nodePool.clusterStack", "organization/project/stack"]),
        ({"clusterStack": "organization//prod"}, {}, ["nodePool.clusterStack", "organization/project/stack"]),
        ({"kubeconfigOutput": "k"}, {}, ["nodePool.kubeconfigOutput", "nodePool.clusterStack too"]),
        ({"nodeSelector": {"a": "b"}, "pool": "x"}, {}, ["nodePool.pool", "which label holds it"]),
        ({"exposure": {"kind": "loadBalancer"}}, {}, ["tls", "clear text"]),
        ({"exposure": {"kind": "ingress", "host": "h"}}, {}, ["nodePool.exposure.tlsSecret", "clear text"]),
        ({"exposure": {"kind": "ingress", "tlsSecret": "t"}}, {}, ["nodePool.exposure.host"]),
        ({"exposure": {"kind": "gateway", "host": "h"}}, {}, ["nodePool.exposure.gateway"]),
        (
            {"exposure": {"kind": "ingress", "host": "h", "tlsSecret": "t"}},
            {"authEnabled": False},
            ["deployment.authEnabled", "anybody"],
        ),
        (
            {"nodeSelector": {"a": "b"}, "exposure": {"kind": "loadBalancer", "internal": True}},
            {"computeTargetName": "mine"},
            ["nodePool.exposure.annotations", "private address"],
        ),
        ({"autoscale": {"minReplicas": 3, "maxReplicas": 2}}, {}, ["nodePool.autoscale.maxReplicas", "at least"]),
        ({"autoscale": {"minReplicas": 0}}, {}, ["nodePool.autoscale.minReplicas", "only KEDA"]),
        ({"autoscale": {"keda": True}}, {}, ["nodePool.autoscale.prometheus", "is required"]),
        ({"modelsFrom": "registry"}, {}, ["registry", "s3://<bucket>"]),
        ({"autoscale": {}, "numReplicas": 2}, {}, ["nodePool.numReplicas", "minReplicas and maxReplicas"]),
        ({"cpuCoresLimit": 1}, {"cpuCores": 2}, ["nodePool.cpuCoresLimit", "deployment.cpuCores, 2"]),
        ({"memoryGbLimit": 2}, {}, ["nodePool.memoryGbLimit", "deployment.memoryGb, 4"]),
        ({"shmMb": 4096}, {}, ["nodePool.shmMb", "Triton's memory, 4096 MB"]),
        ({"podLabels": {"app.kubernetes.io/instance": "x"}}, {}, ["nodePool.podLabels", "finds its pods"]),
        ({"podLabels": {"team": "a team"}}, {}, ["nodePool.podLabels", "'team=a team'"]),
        ({"nodeSelector": {"my pool": "gpu"}}, {}, ["nodePool.nodeSelector", "'my pool=gpu'"]),
        ({"pool": "my pool"}, {}, ["nodePool.pool", "a node's label"]),
        (
            {"tolerations": [{"key": "sku", "operator": "Exists", "value": "gpu"}]},
            {},
            ["nodePool.tolerations[0].value", "'Exists'"],
        ),
        ({"exposure": {"sourceRanges": ["10.0.0.0/8"]}}, {}, ["nodePool.exposure.sourceRanges", "nobody"]),
        (
            {"exposure": {"kind": "loadBalancer", "internal": True, "sourceRanges": ["10.0.0.1/8"]}},
            {},
            ["nodePool.exposure.sourceRanges[0]", "'10.0.0.1/8'", "has host bits set"],
        ),
        (
            {"exposure": {"kind": "loadBalancer", "internal": True}},
            {"computeTargetName": "karpenter"},
            ["nodePool.exposure.annotations", "private address"],
        ),
        ({"createNamespace": True, "imagePullSecrets": ["pull"]}, {}, ["createNamespace", "Secret pull", "default"]),
        ({"gpuResource": "gpu"}, {}, ["nodePool.gpuResource"]),
        ({"namespace": "Not_A_Name"}, {}, ["nodePool.namespace"]),
        ({"namesapce": "serving"}, {}, ["nodePool.namesapce", "did you mean 'nodePool.namespace'?"]),
    ],
)
def test_a_mistake_is_named_with_the_setting_and_what_was_expected(mistakes, pool, deployment, words):
    found = mistakes(pool, **deployment)
    assert len(found) == 1
    assert all(word in found[0] for word in words), found


def test_a_node_pools_settings_on_another_target_are_refused(mistakes):
    assert any(found.startswith("nodePool: ") for found in mistakes({"namespace": "serving"}, target="process"))


@pytest.mark.parametrize(
    "registry",
    ["s3://bucket/models", "gs://bucket", "abfs://models@account.dfs.core.windows.net/triton"],
)
def test_triton_reads_these_registries_itself(mistakes, registry):
    assert mistakes({"modelsFrom": "registry", "credentialsSecret": "store"}, registry=registry) == []


def test_on_azure_triton_needs_an_accounts_key(mistakes):
    (found,) = mistakes({"modelsFrom": "registry"}, registry="abfs://models@account.dfs.core.windows.net/triton")
    assert found.startswith("nodePool.credentialsSecret: is required")
    assert "AZURE_STORAGE_KEY" in found


def test_a_scripts_own_models_stay_in_the_image(mistakes):
    custom = {"path": "models", "name": "own", "framework": "Custom"}
    found = mistakes({"modelsFrom": "registry"}, registry="s3://bucket", models=[*MODELS, custom])
    assert any(mistake.startswith("models[1].framework has the value 'Custom': expected 'Multi'") for mistake in found)


@pytest.mark.parametrize(
    "exposure",
    [
        {"kind": "ingress", "host": "models.example", "tlsSecret": "t"},
        {"kind": "gateway", "host": "models.example", "gateway": {"name": "public"}},
    ],
)
def test_tls_ends_once(options, exposure):
    """What an Ingress or a Gateway sends on is clear text, and Envoy would wait for TLS."""
    tls = {"certificateFile": "certificate.pem", "keyFile": "key.pem"}
    with pytest.raises(SettingsError, match="tls: is for clients that reach Envoy itself"):
        options(pool={"exposure": exposure}, tls=tls)


@pytest.mark.parametrize("kind", ["ingress", "gateway", "loadBalancer"])
def test_a_pool_that_strangers_reach_has_a_limit(mistakes, kind):
    where = f"deployment.maxRequestsPerSecond: is required where nodePool.exposure.kind is '{kind}'"
    pool = {"exposure": {"kind": kind, "host": "h"}}
    assert sum(line.startswith(where) for line in mistakes(pool, maxRequestsPerSecond=None)) == 1
    assert not any("maxRequestsPerSecond" in line for line in mistakes(pool))


def test_a_pool_within_reach_of_colleagues_alone_needs_no_limit(mistakes):
    for exposure in ({"kind": "cluster"}, {"kind": "loadBalancer", "internal": True}):
        assert mistakes({"exposure": exposure}, maxRequestsPerSecond=None) == []


STEPS = {"steps": [{"setWeight": 10, "pause": "1m"}, {"setWeight": 50, "pause": "1m"}]}


@pytest.mark.parametrize(
    ("pool", "deployment", "told"),
    [
        ({"spareGpus": 1}, {"gpuCores": 1, "rollout": STEPS}, ""),
        ({}, {"gpuCores": 0, "rollout": STEPS}, ""),
        ({}, {"gpuCores": 1, "computeTargetName": "karpenter", "rollout": STEPS}, ""),
        ({}, {"gpuCores": 1, "rollout": {"canaryTrafficPercent": 0}}, ""),
        (
            {"spareGpus": 1, "numReplicas": 4},
            {"gpuCores": 1, "rollout": STEPS},
            "deployment.rollout.steps: needs 2 replicas of the new version beside the 4 that serve, "
            "with 2 GPUs, and nodePool.spareGpus is 1; expected as many spare GPUs, or smaller shares",
        ),
        (
            {},
            {"gpuCores": 2, "rollout": {"canaryTrafficPercent": 10}},
            "deployment.rollout.canaryTrafficPercent: needs 1 replicas of the new version beside the 1 "
            "that serve, with 2 GPUs, and nodePool.spareGpus is 0; expected as many spare GPUs",
        ),
        (
            {"spareGpus": 0},
            {"gpuCores": 1, "rollout": {"replay": {}}},
            "deployment.rollout.replay: needs 1 replicas of the new version beside the 1 that serve, with 1 GPUs, and "
            "nodePool.spareGpus is 0; expected as many spare GPUs",
        ),
        (
            {"spareGpus": 1},
            {"gpuCores": 1, "rollout": {"performance": {"p95Ms": 5}, "strategy": "recreate"}},
            "deployment.rollout.performance: is measured beside the old version on target 'node-pool', and strategy "
            "'recreate' stops that first; leave it out, or set deployment.rollout.strategy to 'surge'",
        ),
        (
            {"autoscale": {"by": "cpu", "keda": True, "minReplicas": 0}},
            {"gpuCores": 0, "rollout": STEPS},
            "deployment.rollout.steps: judges requests, and with nodePool.autoscale.minReplicas 0 the service may "
            "sleep: leave it out, or set minReplicas to 1",
        ),
    ],
)
def test_a_second_generation_needs_room(mistakes, pool, deployment, told):
    found = [line for line in mistakes(pool, **deployment) if "deployment.rollout" in line]
    assert found == ([told] if told else [])
