"""Each rule both ways: what it lets pass, and what it says to what it does not."""

import pytest
import yaml

from policies.rules.every_rule import RULES
from tests.policies.conftest import MESSAGES
from tests.policies.resources import DIGEST, door, provider, rendered, resource, service, violations

PUBLIC = {"exposure": {"kind": "loadBalancer", "host": "models.example"}}
PRIVATE = {"exposure": {"kind": "loadBalancer", "host": "models.example", "internal": True}}
INGRESS = {"exposure": {"kind": "ingress", "host": "models.example", "tlsSecret": "tls"}}
TLS = {"certificateFile": "certificate.pem", "keyFile": "key.pem"}


def gateway(**more):
    return {"exposure": {"kind": "gateway", "host": "models.example", "gateway": {"name": "public", **more}}}


def changing(kind, change):
    """Change the objects of a kind."""
    return lambda manifest: change(manifest) if manifest["kind"] == kind else None


def made_public(manifest):
    """A load balancer with a private address gets a public one."""
    manifest["metadata"]["annotations"].pop("service.beta.kubernetes.io/azure-load-balancer-internal", None)


# -- keys-on


def test_a_front_door_with_keys_passes(options):
    assert violations("keys-on", [door(), service(), *rendered(options())]) == []


@pytest.mark.parametrize("kind", ["ProcessFrontDoor", "DockerFrontDoor"])
def test_keys_on_a_front_door_of_a_machine(kind, reviewed):
    reviewed(violations("keys-on", [door(kind, authEnabled=False)]))


def test_keys_on_a_front_door_of_a_node_pool(options, reviewed):
    reviewed(violations("keys-on", rendered(options(deployment={"authEnabled": False}))))


# -- tls-on-public-doors


@pytest.mark.parametrize("pool", [{}, PRIVATE, INGRESS, gateway()])
def test_doors_that_speak_tls_or_are_not_public_pass(options, pool):
    passing = [door(), door(public=True, certificateFile="/c.pem"), *rendered(options(pool=pool))]
    assert violations("tls-on-public-doors", passing) == []


def test_a_load_balancer_with_tls_passes(options):
    assert violations("tls-on-public-doors", rendered(options(pool=PUBLIC, tls=TLS))) == []


def test_tls_on_public_doors_of_a_machine(reviewed):
    reviewed(violations("tls-on-public-doors", [door(public=True)]))


def test_tls_on_public_doors_by_a_load_balancer(options, reviewed):
    public = rendered(options(pool=PRIVATE), changing("Service", made_public))
    reviewed(violations("tls-on-public-doors", public))


def test_tls_on_public_doors_by_an_ingress(options, reviewed):
    plain = rendered(options(pool=INGRESS), changing("Ingress", lambda manifest: manifest["spec"].pop("tls")))
    reviewed(violations("tls-on-public-doors", plain))


@pytest.mark.parametrize("preset", ["aks-gpu", "eks-gpu", "gke-gpu"])
def test_private_load_balancers_need_tls_where_that_is_configured(options, preset):
    private = rendered(options(preset=preset, pool=PRIVATE))
    assert violations("tls-on-public-doors", private) == []
    assert len(violations("tls-on-public-doors", private, privateBalancers=True)) == 1


# -- gateway-listener-named


def test_a_route_that_names_its_listener_passes(options):
    assert violations("gateway-listener-named", rendered(options(pool=gateway(sectionName="https")))) == []


def test_gateway_listener_named(options, reviewed):
    reviewed(violations("gateway-listener-named", rendered(options(pool=gateway()))))


# -- no-plain-secrets


@pytest.mark.parametrize(
    "variables",
    [
        {"WORKER_COUNT": "1", "TOKENIZERS_PARALLELISM": "false", "AUTHOR": "me", "KEYSPACE": "a", "API_TOKEN": ""},
        {"COLLECT_URL": "abfs://container@account/folder", "GOOGLE_APPLICATION_CREDENTIALS": "/etc/c.json"},
        {"LATER": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"},
    ],
)
def test_variables_without_a_secret_pass(variables):
    assert violations("no-plain-secrets", [service(variables=variables)]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "anything"),
        ("db_password", "anything"),
        ("PLAIN", "hf_abcdefghijklmnopqrstuvwx"),
        ("PLAIN", "AKIAABCDEFGHIJKLMNOP"),
        ("PLAIN", "DefaultEndpointsProtocol=https;AccountKey=abc=="),
        ("PLAIN", "-----BEGIN RSA PRIVATE KEY-----"),
        ("PLAIN", "https://me:secret@host/x"),
        ("PLAIN", "https://host/x?sig=secret"),
        ("PLAIN", "[secret]"),
    ],
)
def test_no_plain_secrets_of_a_machine(name, value, reviewed):
    (message,) = violations("no-plain-secrets", [service(variables={name: value})])
    reviewed([message])
    assert value not in message
    assert "secret@" not in message


def test_no_plain_secrets_on_a_node_pool(options, reviewed):
    with_token = options(shape="triton and scorer", environment={"variables": {"API_TOKEN": "a1b2c3"}})
    messages = violations("no-plain-secrets", rendered(with_token))
    reviewed(messages)
    assert "a1b2c3" not in str(messages)


def test_variables_that_are_secret_as_a_whole_are_told():
    (message,) = violations("no-plain-secrets", [service(variables="[secret]")])
    assert "a secret of Pulumi's" in message


def test_no_plain_secrets_in_urls(reviewed):
    packages = resource(
        "triton:index:EnvironmentVenv", "venv", {"pipPackages": ["nltk", "x @ https://token@host/x.whl"]}
    )
    registered = resource("triton:index:RegisteredModel", "model", {"registry": "sftp://me:secret@host/registry"})
    messages = violations("no-plain-secrets", [packages, registered])
    reviewed(messages)
    assert "token@" not in str(messages)
    assert "me:secret" not in str(messages)


def test_names_of_secrets_are_configured():
    own = service(variables={"LICENCE": "a", "API_TOKEN": "b"})
    (message,) = violations("no-plain-secrets", [own], names=["LICEN?E"])
    assert "LICENCE" in message
    assert violations("no-plain-secrets", [own], allowed=["API_*"]) == []


# -- no-overwrite-in-production


@pytest.mark.parametrize("stack", ["test", "reproduction", "staging"])
def test_a_stack_that_is_not_in_production_may_overwrite(stack):
    assert violations("no-overwrite-in-production", [service(overwrite=True)], stack=stack) == []


def test_a_stack_in_production_that_overwrites_nothing_passes():
    careful = [service(), provider(upsertExistingObjects="false", enablePatchForce="false")]
    assert violations("no-overwrite-in-production", careful, stack="production") == []


@pytest.mark.parametrize("stack", ["production", "prod-eu", "eu-prod"])
def test_no_overwrite_in_production_of_a_machine(stack, reviewed):
    reviewed(violations("no-overwrite-in-production", [service(overwrite=True)], stack=stack))


def test_no_overwrite_in_production_of_a_node_pool(reviewed):
    taking = provider(upsertExistingObjects="true", enablePatchForce="true")
    reviewed(violations("no-overwrite-in-production", [taking], stack="production"))


def test_what_marks_production_is_configured():
    taking = [service(overwrite=True)]
    rule = "no-overwrite-in-production"
    assert len(violations(rule, taking, stack="blue", tags={"environment": "production"})) == 1
    assert len(violations(rule, taking, stack="live-eu", stacks=["live-*"])) == 1
    assert violations(rule, taking, stack="prod", stacks=["live-*"]) == []
    assert len(violations(rule, taking, stack="blue", tags={"tier": "1"})) == 0


# -- images-by-digest


def test_images_by_digest_and_envoys_releases_pass(options):
    passing = [
        service("DockerService", image=DIGEST),
        service("DockerService", image=f"registry.example/team/triton@{DIGEST}"),
        service("DockerService", image="04da6b54-80e4-46f7-96ec-b56ff0331ba9"),
        resource("docker:index/remoteImage:RemoteImage", "image", {"name": "docker.io/envoyproxy/envoy:v1.40.0"}),
        resource("docker:index/remoteImage:RemoteImage", "x", {"name": "db:1"}, parent="another:index:Component"),
        *rendered(options()),
    ]
    assert violations("images-by-digest", passing) == []


def test_images_by_digest_of_a_machine(reviewed):
    tagged = [
        service("DockerService", image="registry.example/team/triton:24.12"),
        resource("docker:index/remoteImage:RemoteImage", "image", {"name": "registry.example/envoy:latest"}),
    ]
    reviewed(violations("images-by-digest", tagged))


def test_images_by_digest_on_a_node_pool(options, reviewed):
    def tag(manifest):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            container["image"] = container["image"].partition("@")[0] + ":latest"

    tagged = rendered(
        options(pool={"frontDoor": {"image": f"registry.example/envoy@{DIGEST}"}}), changing("Deployment", tag)
    )
    reviewed(violations("images-by-digest", tagged))


def test_exempt_images_are_configured(options):
    assert len(violations("images-by-digest", rendered(options()), exempt=[])) == 1


# -- limits-set


@pytest.mark.parametrize("shape", ["triton", "scorer", "triton and scorer"])
def test_rendered_containers_have_limits(options, shape):
    assert violations("limits-set", rendered(options(shape=shape))) == []


def test_limits_set(options, reviewed):
    def unlimited(manifest):
        pod = manifest["spec"]["template"]["spec"]
        pod["containers"][0]["resources"].pop("limits")
        for container in pod.get("initContainers", ()):
            container["resources"]["limits"].pop("memory")

    reviewed(violations("limits-set", rendered(options(shape="triton and scorer"), changing("Deployment", unlimited))))


def test_limited_resources_are_configured(options):
    found = violations("limits-set", rendered(options()), limited=["nvidia.com/gpu"])
    assert ["envoy" in message for message in found] == [True]


# -- requests-limited


def test_limited_doors_and_doors_of_one_machine_pass(options):
    passing = [door(), door(public=True, maxRequestsPerSecond=5), *rendered(options(pool=PUBLIC, tls=TLS))]
    assert violations("requests-limited", [*passing]) == []
    assert violations("requests-limited", rendered(options())) == []


def test_requests_limited_on_a_machine(reviewed):
    reviewed(violations("requests-limited", [door(public=True)]))


def test_requests_limited_on_a_node_pool(options, reviewed):
    unlimited = options(pool=PRIVATE, deployment={"maxRequestsPerSecond": None})
    assert violations("requests-limited", rendered(unlimited)) == []
    reviewed(violations("requests-limited", rendered(unlimited, changing("Service", made_public))))


# -- second-replica


@pytest.mark.parametrize(
    "pool", [{}, PRIVATE, {**PUBLIC, "numReplicas": 2}, {**PUBLIC, "autoscale": {"minReplicas": 2}}]
)
def test_two_replicas_and_services_inside_the_cluster_pass(options, pool):
    tls = {"tls": TLS} if "autoscale" in pool or "numReplicas" in pool else {}
    assert violations("second-replica", rendered(options(pool=pool, **tls))) == []


@pytest.mark.parametrize("pool", [PUBLIC, INGRESS, gateway()], ids=["balancer", "ingress", "gateway"])
def test_second_replica(options, pool, reviewed):
    tls = {"tls": TLS} if pool is PUBLIC else {}
    single = {**pool, "frontDoor": {"numReplicas": 1}}
    reviewed(violations("second-replica", rendered(options(pool=single, **tls))))


@pytest.mark.parametrize("keda", [False, True])
def test_second_replica_of_an_autoscaler(options, keda, reviewed):
    scaled = {"minReplicas": 1, "keda": keda, "prometheus": "http://prometheus:9090"}
    reviewed(violations("second-replica", rendered(options(pool={**INGRESS, "autoscale": scaled}))))


def test_the_number_of_replicas_is_configured(options):
    pool = {**INGRESS, "numReplicas": 2}
    assert violations("second-replica", rendered(options(pool=pool))) == []
    assert len(violations("second-replica", rendered(options(pool=pool)), least=3)) == 2


# -- all


def test_every_rule_has_messages_that_were_reviewed():
    reviewed = yaml.safe_load(MESSAGES.read_text())
    for rule in RULES:
        own = [test for test in reviewed if test.startswith(f"test_{rule.name.replace('-', '_')}")]
        assert own, rule.name
        for message in (message for test in own for message in reviewed[test]):
            assert "; expected " in message
            assert "stacks/Pulumi." in message
            assert "\n" not in message
