"""A service on a node pool under Pulumi's mocks."""

import asyncio
import contextlib
import json

import fsspec
import pulumi
import pulumi_kubernetes as k8s
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bundle.layout import check_files, check_layout
from bundle.registry import Registry
from components import node_pool_deployment
from components.access_keys import AccessKeys, AccessKeysArgs
from components.cluster_stack import cluster_kubeconfig
from components.gateway import Gateway, GatewayArgs
from components.node_pool_deployment import NodePoolDeployment, NodePoolDeploymentArgs
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from provider.resources import node_pool_rollout
from targets.errors import ServiceError
from targets.node_pool.cluster.cluster_client import ClusterError
from targets.node_pool.cluster.plugin_copies import CONTEXT
from tests.certificates import make_certificate
from tests.components.conftest import OTHERS, bundles_of, secrets_of
from tests.provider.asking import changes

IMAGE = "registry.example/service@sha256:" + "0" * 64


def of_stack(settings):
    return cluster_kubeconfig("svc-dep", settings, pulumi.ResourceOptions())


@pytest.fixture
def deployed(declare, settings_with, tmp_path):
    """Declare a service named `svc` on a node pool, from what differs from a small one."""

    def run(pool=None, kubeconfig=lambda _settings: None, opts=lambda: None, preview=False, **changed):
        deployment = {"target": "node-pool", "computeTargetName": "aks-gpu", "gpuCores": 1}
        settings = settings_with(
            image=changed.pop("image", {"reference": IMAGE}),
            nodePool=pool or {},
            deployment=deployment | changed.pop("deployment", {}),
            **changed,
        )

        def declared():
            secrets, bundles = secrets_of(settings), bundles_of(settings)
            keys = AccessKeys("svc-keys", AccessKeysArgs.of(settings, secrets))
            args = NodePoolDeploymentArgs(
                settings, bundles=bundles, image=IMAGE, secrets=secrets, kubeconfig=kubeconfig(settings)
            )
            replicas = NodePoolDeployment("svc-dep", args, opts())
            gateway = Gateway("svc-gw", GatewayArgs(settings, keys=keys, deployment=replicas))
            SmokeCheck("svc-check", SmokeCheckArgs(settings, bundles, keys, replicas, gateway))
            return {
                "state": gateway.state,
                "logs": replicas.logs,
                "scoringUri": gateway.scoring_uri,
                "tritonUri": gateway.triton_uri,
                "grpcUri": gateway.grpc_uri,
                "swaggerUri": gateway.swagger_uri,
            }

        return declare(declared, preview=preview)

    return run


def test_every_object_is_a_child_and_goes_to_the_chosen_cluster(deployed):
    declared = deployed({"context": "prod", "createNamespace": True, "namespace": "serving"}).resources
    assert declared["svc-dep-cluster"].inputs["context"] == "prod"
    objects = {name: found for name, found in declared.items() if found.type.startswith("kubernetes:")}
    assert len(objects) == 13
    for name, found in objects.items():
        assert found.parent in ("svc-dep", "svc-gw")
        assert name.startswith(f"{found.parent}-")


@pytest.mark.parametrize(
    ("percent", "kept"), [(None, False), (100, False), (0, True), (10, True)], ids=["none", "all", "nothing", "some"]
)
def test_the_replicas_come_after_the_candidate_and_stay_while_it_has_a_share(deployed, percent, kept):
    rollout = {} if percent is None else {"canaryTrafficPercent": percent}
    declared = deployed({"spareGpus": 1}, deployment={"rollout": rollout}).resources
    canary, replicas = declared["svc-dep-canary"], declared["svc-dep-deployment"]
    assert {"svc-dep-service-account", "svc-dep-pods"} <= canary.depends_on
    assert "svc-dep-canary" in replicas.depends_on
    annotations = replicas.inputs["metadata"]["annotations"]
    assert annotations["triton-serving/generation"] == canary.inputs["generation"]
    assert declared["svc-check-run"].inputs["generation"] == canary.inputs["generation"]
    changed = ("spec.template", 'metadata.annotations["triton-serving/generation"]')
    assert replicas.ignored == (changed if kept else ())
    assert declared["svc-dep-rollout"].ignored == (("generation",) if kept else ())
    objects = json.loads(canary.inputs["objects"])
    assert [one["metadata"]["name"] for one in objects][-1] == "triton-webservice-candidate"
    assert canary.inputs["reports"].endswith("/node-pool/default/triton-webservice/reports")


WITH_KUBECONFIG = (
    "svc-dep-cluster-identity",
    "svc-dep-pods",
    "svc-dep-canary",
    "svc-dep-rollout",
    "svc-gw-rollout",
    "svc-check-run",
)
FROM_STACK = {"clusterStack": "organization/infra/prod"}


@pytest.fixture
def _no_kubeconfig_here(monkeypatch):
    def never(*_):
        raise AssertionError("this machine's kubeconfig is read")

    monkeypatch.setattr(node_pool_deployment, "Cluster", never)


@pytest.mark.usefixtures("_no_kubeconfig_here")
def test_everything_that_talks_to_the_cluster_has_the_kubeconfig_of_its_stack_as_a_secret(deployed):
    pool = {**FROM_STACK, "context": "admin"}
    declared = deployed(pool, kubeconfig=of_stack).resources
    for name in WITH_KUBECONFIG:
        assert declared[name].inputs["kubeconfig"] == json.dumps(OTHERS), name
        assert "kubeconfig" in declared[name].secrets, name
        assert declared[name].inputs["context"] == "admin"
        assert (
            declared[name].inputs["source"].startswith("the output 'kubeconfig' of the stack organization/infra/prod")
        )
        assert "kubeconfig" in declared[name].secret_outputs
    provider = declared["svc-dep-cluster"]
    assert "kubeconfig" in provider.secrets
    made = json.loads(provider.inputs["kubeconfig"])
    assert made["current-context"] == CONTEXT  # by which the plugin's copies are known
    assert made["users"] == [{"name": CONTEXT, "user": {"token": "s3cret"}}]
    assert [cluster["cluster"]["server"] for cluster in made["clusters"]] == ["https://admins"]
    assert "s3cret" not in str([found.inputs for found in declared.values() if not found.secrets])


@pytest.mark.usefixtures("_no_kubeconfig_here")
@pytest.mark.parametrize(("output", "text"), [("asObject", '{"users": ["s3cret"]}'), ("nope", "")])
def test_an_output_is_a_text_also_where_it_is_an_object_or_is_not_there(deployed, output, text):
    declared = deployed({**FROM_STACK, "kubeconfigOutput": output}, kubeconfig=of_stack).resources
    assert {declared[name].inputs["kubeconfig"] for name in WITH_KUBECONFIG} == {text}


@pytest.mark.usefixtures("_no_kubeconfig_here")
def test_names_are_claimed_unless_they_may_be_taken_over(deployed):
    def claim(overwrite):
        declared = deployed(FROM_STACK, kubeconfig=of_stack, deployment={"overwrite": overwrite}).resources
        return declared["svc-dep-cluster-identity"].inputs.get("claim")

    claimed = claim(overwrite=False)
    assert (claimed["namespace"], claimed["service"]) == ("default", "triton-webservice")
    assert claimed["owner"].endswith("/triton-serving/test")
    assert claim(overwrite=True) is None


@pytest.mark.usefixtures("_no_kubeconfig_here")
def test_a_kubeconfig_may_be_unknown_before_the_update(deployed):
    async def later():
        return False

    def unknown(_settings):
        value = asyncio.get_event_loop().create_future()
        value.set_result(None)
        return pulumi.Output(set(), value, later())

    declared = deployed(kubeconfig=unknown, preview=True).resources
    for name in WITH_KUBECONFIG:
        assert isinstance(declared[name].inputs["kubeconfig"], pulumi.output.Unknown)


@pytest.mark.usefixtures("_no_kubeconfig_here")
def test_a_kubernetes_provider_among_the_options_makes_the_objects(deployed):
    def opts():
        return pulumi.ResourceOptions(providers=[k8s.Provider("mine")])

    declared = deployed(kubeconfig=lambda _settings: "text: s3cret", opts=opts).resources
    objects = {name: found for name, found in declared.items() if found.type.startswith("kubernetes:")}
    assert len(objects) > 5
    assert {found.provider for found in objects.values()} == {"mine"}
    assert "svc-dep-cluster" not in declared


def test_a_kubernetes_provider_without_a_kubeconfig_is_refused(deployed):
    with pytest.raises(ServiceError, match="svc-dep gets a Kubernetes provider and no kubeconfig"):
        deployed(opts=lambda: pulumi.ResourceOptions(providers={"kubernetes": k8s.Provider("mine")}))


@pytest.mark.parametrize("overwrite", [True, False])
def test_objects_of_others_are_taken_over_only_when_told(deployed, overwrite):
    provider = deployed(deployment={"overwrite": overwrite}).resources["svc-dep-cluster"].inputs
    flags = ("upsertExistingObjects", "enablePatchForce")
    assert [json.loads(provider[flag]) for flag in flags] == [overwrite, overwrite]


def test_the_first_objects_stand_guard_for_all_others(deployed):
    declared = deployed({"createNamespace": True}).resources
    others = [name for name in declared if name.startswith("svc-dep-") and declared[name].type.startswith("kubernetes")]
    for name in others:
        if name not in ("svc-dep-namespace", "svc-dep-service-account"):
            assert {"svc-dep-namespace", "svc-dep-service-account"} <= declared[name].depends_on, name


def test_the_replicas_run_the_image_and_their_rollout_is_watched(deployed):
    declared = deployed().resources
    replicas = declared["svc-dep-deployment"].inputs
    (container,) = replicas["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert "/opt/service/models/triton_model/1/triton" in container["args"]
    assert replicas["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
    assert {"svc-dep-deployment", "svc-dep-pods"} <= declared["svc-dep-rollout"].depends_on
    assert "svc-dep-pods" in declared["svc-dep-deployment"].depends_on


def test_a_changed_deployment_calls_for_another_look_at_its_rollout(deployed, monkeypatch):
    measured = [{"state": "Healthy", "problems": []}]
    outputs = node_pool_rollout.NodePoolRolloutType.outputs
    monkeypatch.setattr(node_pool_rollout, "_measured", lambda _inputs: outputs(**measured[-1]))
    before, after = (deployed(deployment={"cpuCores": cores}).resources["svc-dep-rollout"].inputs for cores in (1, 2))
    healthy = {"state": "Healthy", "problems": []}
    assert changes("NodePoolRollout", before, healthy, after)
    assert not changes("NodePoolRollout", before, healthy)
    assert changes("NodePoolRollout", before, {**healthy, "state": "Unhealthy"})
    measured.append({"state": "Unhealthy", "problems": ["scaled to 0"]})  # whatever the state remembers
    assert changes("NodePoolRollout", before, healthy)


def test_objects_go_to_the_cluster_whose_identity_was_looked_at(deployed):
    declared = deployed().resources
    assert "svc-dep-cluster-identity" in declared["svc-dep-cluster"].depends_on
    for name in ("svc-dep-rollout", "svc-dep-pods", "svc-gw-rollout", "svc-check-run"):
        assert declared[name].inputs["cluster"]["uid"] == "u-1"


def test_what_the_plugin_would_await_in_silence_is_awaited_by_us(deployed):
    for found in deployed().resources.values():
        if found.type.rpartition(":")[2] in ("Service", "Deployment", "Ingress"):
            assert found.inputs["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


@pytest.mark.parametrize("preview", [True, False])
def test_a_cluster_that_does_not_answer_fails_the_update_and_not_the_preview(settings_with, monkeypatch, preview):
    def silent(_context):
        raise ClusterError("the cluster does not answer")

    monkeypatch.setattr(node_pool_deployment, "Cluster", silent)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: preview)
    with contextlib.nullcontext() if preview else pytest.raises(ClusterError):
        node_pool_deployment.NodePoolDeployment.check("svc", settings_with())


def test_the_front_door_waits_for_the_replicas_and_hides_the_keys(deployed):
    declared = deployed().resources
    door = declared["svc-gw-deployment-front-door"]
    assert {"svc-dep-rollout", "svc-gw-config-map-front-door", "svc-gw-secret-keys"} <= door.depends_on
    assert declared["svc-gw-secret-keys"].secrets == {"stringData"}
    assert "k" * 43 not in str([found.inputs for found in declared.values() if not found.secrets])


def test_the_front_doors_rollout_is_watched_too(deployed):
    declared = deployed()
    door = declared.resources["svc-gw-deployment-front-door"].inputs
    assert door["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
    rollout = declared.resources["svc-gw-rollout"]
    assert rollout.inputs["deployment"] == "triton-webservice-front-door"
    assert {"svc-gw-deployment-front-door", "svc-gw-service"} <= rollout.depends_on
    changed = deployed(deployment={"maxRequestMegabytes": 1}).resources["svc-gw-rollout"].inputs
    assert rollout.inputs["generation"] != changed["generation"]
    assert declared.values["state"] == "Healthy"


def test_other_keys_make_other_envoys(deployed):
    def version(**changed):
        template = deployed(**changed).resources["svc-gw-deployment-front-door"].inputs["spec"]["template"]
        return template["metadata"]["annotations"]["triton-serving/configuration"]

    assert version() == version() != version(deployment={"maxRequestMegabytes": 1})


def test_the_keys_of_clients_are_in_envoys_file(deployed):
    declared = deployed(clients=[{"name": "checkout", "requestsPerSecond": 5}]).resources
    text = declared["svc-gw-secret-keys"].inputs["stringData"]["keys.json"]
    assert '"name": "checkout"' in text
    assert declared["svc-gw-secret-keys"].secrets == {"stringData"}


def test_the_uris_are_the_clusters_own(deployed, scripts):
    values = deployed({"namespace": "serving"}, entryScript="score.py").values
    assert values["scoringUri"] == "http://triton-webservice.serving.svc/score"
    assert values["tritonUri"] == "http://triton-webservice.serving.svc"
    assert values["grpcUri"] == "triton-webservice.serving.svc:80"
    assert values["swaggerUri"] == "http://triton-webservice.serving.svc/swagger.json"
    assert values["logs"].startswith("kubectl --namespace serving logs ")


def test_the_check_goes_by_port_forward_with_the_key(deployed):
    check = deployed().resources["svc-check-run"]
    assert (check.inputs["address"], check.inputs["containerPort"]) == ("", 8080)
    assert check.secrets == {"key"}
    assert {"svc-gw-deployment-front-door", "svc-gw-service"} <= check.depends_on
    assert [bundle["name"] for bundle in check.inputs["bundles"]] == ["triton_model"]


@pytest.mark.parametrize(("internal", "asked"), [(True, ""), (False, "203.0.113.7")])
def test_a_private_load_balancer_is_passed_by(deployed, internal, asked, tmp_path):
    made = make_certificate(tmp_path)
    tls = dict(zip(("certificateFile", "keyFile"), map(str, made), strict=True))
    exposure = {"kind": "loadBalancer", "internal": internal, "addressSeconds": 7}
    declared = deployed({"exposure": exposure}, deployment={"maxRequestsPerSecond": 9}, tls=tls)
    assert declared.resources["svc-check-run"].inputs["address"] == asked
    assert declared.resources["svc-gw-address"].inputs["seconds"] == 7
    assert "svc-gw-rollout" in declared.resources["svc-gw-address"].depends_on
    assert declared.values["tritonUri"] == "https://203.0.113.7"


def test_another_address_alone_calls_for_no_check(deployed):
    inputs = deployed().resources["svc-check-run"].inputs
    assert not changes("NodePoolCheck", inputs, {"checks": 5}, {**inputs, "address": "203.0.113.7"})
    assert changes("NodePoolCheck", inputs, {"checks": 5}, {**inputs, "generation": "another"})


def test_a_scoring_only_service_has_no_triton(deployed, scripts, tmp_path):
    declared = deployed(entryScript="score.py", models=[{"path": "scripts", "name": "m", "framework": "Custom"}])
    (container,) = declared.resources["svc-dep-deployment"].inputs["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "scorer"
    assert (declared.values["tritonUri"], declared.values["grpcUri"]) == (None, None)
    assert declared.resources["svc-check-run"].inputs["bundles"] == []


class Lake(MemoryFileSystem):
    """Azure Data Lake as its package `adlfs` has it, in memory: the account in the URL is no part of the paths."""

    protocol = ("abfs",)

    @classmethod
    def _strip_protocol(cls, path):
        container, _, rest = str(path).removeprefix("abfs://").partition("/")
        return super()._strip_protocol(f"{container.partition('@')[0]}/{rest}" if "@" in container else path)


@pytest.mark.parametrize(
    ("registry", "root"),
    [
        ("abfs://models@account.dfs.core.windows.net/here/", "as://account/models/here"),
        ("abfs://models@account.dfs.core.windows.net", "as://account/models"),
    ],
)
def test_triton_reads_large_bundles_from_their_object_store(deployed, bundle_folder, registry, root):
    fsspec.register_implementation("abfs", Lake, clobber=True)
    registered = Registry(registry).register("m", check_layout(bundle_folder, target="node-pool"), framework="Multi")
    pool = {"modelsFrom": "registry", "credentialsSecret": "lake"}
    declared = deployed(pool, models=["m:1"], registry=registry)
    (triton,) = declared.resources["svc-dep-deployment"].inputs["spec"]["template"]["spec"]["containers"]
    repository = triton["args"][triton["args"].index("--model-repository") + 1]
    assert repository == f"{root}/m/{registered.manifest.content}/triton"


def test_a_registered_bundle_of_a_script_stays_in_the_image(deployed, scripts):
    fsspec.register_implementation("abfs", Lake, clobber=True)
    registry = "abfs://scripts@account.dfs.core.windows.net"
    Registry(registry).register("own", check_files(scripts), framework="Custom")
    pool = {"modelsFrom": "registry", "credentialsSecret": "lake"}
    with pytest.raises(
        ServiceError, match="model own:1 is of framework Custom: the entry script finds it in the image"
    ):
        deployed(pool, models=["own:1"], registry=registry, entryScript="score.py")


def test_a_rollout_with_a_gap_is_warned_of_at_preview(deployed, monkeypatch):
    said = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_: said.append(text))
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    deployed({"spareGpus": 1})
    assert said == []
    deployed()
    assert [text.partition(" (")[0] for text in said] == ["no GPU is spare for a rollout"]


def test_the_password_of_the_images_registry_is_a_secret(deployed):
    image = {"reference": IMAGE, "username": "robot"}
    declared = deployed(image=image, imagePassword="s3cret").resources
    (pull,) = [found for name, found in declared.items() if name.endswith("image-pull")]
    assert pull.secrets == {"stringData"}
    assert "s3cret" not in str([found.inputs for found in declared.values() if not found.secrets])


def test_kinds_that_kubernetes_does_not_bring_are_declared_too(deployed):
    monitoring = {"scrape": "podMonitor", "alerts": True, "dashboard": True}
    declared = deployed({"monitoring": monitoring, "autoscale": {}}).resources
    kinds = {found.type for found in declared.values()}
    assert {
        "kubernetes:monitoring.coreos.com/v1:PodMonitor",
        "kubernetes:monitoring.coreos.com/v1:PrometheusRule",
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
    } <= kinds
