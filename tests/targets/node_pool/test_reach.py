"""Who reaches the service, and by which way."""

import json
import shlex

import pytest

from targets.node_pool.addresses import grpc_uri, logs_command, metrics_uri, port_forward_command, public_url
from targets.node_pool.object_names import Names
from targets.node_pool.objects.gateway_files import gateway_files

TLS = {"certificateFile": "certificate.pem", "keyFile": "key.pem"}


def rules(policy):
    return [
        (sorted(port["port"] for port in rule["ports"]), [next(iter(peer)) for peer in rule.get("from", [])])
        for rule in policy["spec"]["ingress"]
    ]


def test_only_envoy_reaches_the_replicas_and_only_monitoring_their_metrics(rendered):
    found = rendered(shape="triton and scorer", pool={"monitoring": {"namespace": "prometheus"}})
    policy = found.one("NetworkPolicy")
    assert rules(policy) == [([5001, 8000, 8001, 8002], ["podSelector"]), ([8002], ["namespaceSelector"])]
    (peer,) = policy["spec"]["ingress"][1]["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "prometheus"}


def test_clients_reach_the_front_door_and_not_its_statistics(rendered):
    policy = rendered().one("NetworkPolicy", "-front-door")
    assert rules(policy) == [([8080], []), ([9901], ["namespaceSelector"])]


def test_by_default_the_service_is_for_the_cluster_alone(rendered, options):
    service = rendered().one("Service")
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "front-door"}]
    assert public_url(options(), "") == "http://triton-webservice.default.svc"
    assert grpc_uri(options(), "") == "triton-webservice.default.svc:80"


def test_a_load_balancer_serves_tls_with_the_clouds_annotations(rendered, options):
    pool = {"exposure": {"kind": "loadBalancer", "sourceRanges": ["192.0.2.0/24"]}}
    service = rendered("eks-gpu", pool=pool, tls=TLS).one("Service")
    assert service["spec"]["ports"][0]["port"] == 443
    assert service["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    scheme = "service.beta.kubernetes.io/aws-load-balancer-scheme"
    assert service["metadata"]["annotations"][scheme] == "internet-facing"
    assert public_url(options("eks-gpu", pool=pool, tls=TLS), "203.0.113.7") == "https://203.0.113.7"
    assert grpc_uri(options("eks-gpu", pool=pool, tls=TLS), "203.0.113.7") == "203.0.113.7:443"


@pytest.mark.parametrize(
    ("preset", "annotation", "value"),
    [
        ("aks-gpu", "service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
        ("eks-gpu", "service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
        ("gke-gpu", "networking.gke.io/load-balancer-type", "Internal"),
    ],
)
def test_a_private_address_is_asked_for_in_the_clouds_words(rendered, preset, annotation, value):
    service = rendered(preset, pool={"exposure": {"kind": "loadBalancer", "internal": True}}).one("Service")
    assert service["metadata"]["annotations"][annotation] == value


def test_an_ingress_ends_tls_before_the_front_door(rendered, options):
    pool = {"exposure": {"kind": "ingress", "host": "models.example", "className": "nginx", "tlsSecret": "wildcard"}}
    spec = rendered(pool=pool).one("Ingress")["spec"]
    assert spec["tls"] == [{"hosts": ["models.example"], "secretName": "wildcard"}]
    backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "triton-webservice", "port": {"number": 80}}
    assert public_url(options(pool=pool), "") == "https://models.example"


def test_a_route_of_the_gateway_api_leads_to_the_front_door(rendered):
    gateway = {"name": "public", "namespace": "gateways", "sectionName": "https"}
    pool = {"exposure": {"kind": "gateway", "host": "models.example", "gateway": gateway}}
    route = rendered(pool=pool).one("HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["parentRefs"] == [gateway]
    everything, grpc = route["spec"]["rules"]
    assert everything == {"backendRefs": [{"name": "triton-webservice", "port": 80}]}
    # HTTP/2 in clear text by a port of its own: to the other a Gateway speaks HTTP/1.1.
    assert grpc["matches"] == [{"path": {"type": "PathPrefix", "value": "/inference.GRPCInferenceService"}}]
    assert grpc["backendRefs"] == [{"name": "triton-webservice", "port": 8001}]
    ports = {port["port"]: port.get("appProtocol") for port in rendered(pool=pool).one("Service")["spec"]["ports"]}
    assert ports == {80: None, 8001: "kubernetes.io/h2c"}


def test_envoy_looks_the_replicas_up_by_name_and_is_drained_from_its_own_pod_alone(options):
    files = gateway_files(options())
    assert "triton-webservice-replicas" in files["clusters.json"]
    listeners = json.loads(files["bootstrap.json"])["static_resources"]["listeners"]
    (drain,) = [listener for listener in listeners if listener["name"] == "drain"]
    assert drain["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9902}


def test_each_envoy_takes_its_part_of_the_rate_limit(options):
    limit = {"deployment": {"maxRequestsPerSecond": 101}}
    files = gateway_files(options(pool={"frontDoor": {"numReplicas": 2}}, **limit))
    assert '"max_tokens": 51' in files["routes.json"] + files["listeners.json"]


def test_each_envoy_takes_its_part_of_a_clients_limits(options):
    clients = [{"name": "checkout", "models": ["digits"], "requestsPerSecond": 40, "maxConcurrent": 7}]
    files = gateway_files(options(pool={"frontDoor": {"numReplicas": 2}}, clients=clients))
    routes = json.loads(files["routes.json"])["resources"][0]["virtual_hosts"][0]["typed_per_filter_config"]
    (limit,) = routes["client_rate"]["descriptors"]
    assert limit["entries"] == [{"key": "client", "value": "checkout"}]
    assert limit["token_bucket"]["tokens_per_fill"] == 20
    assert '"max_concurrency_limit": 4' in files["routes.json"]


def test_commands_name_the_context_and_the_namespace(options):
    made = options(pool={"context": "prod", "namespace": "serving"})
    kubectl = ["kubectl", "--context", "prod", "--namespace", "serving"]
    command = shlex.split(logs_command(Names.of(made), made.pool))
    assert command[:6] == [*kubectl, "logs"]
    # Without them kubectl shows ten lines, and refuses to follow more than five containers.
    assert command[-2:] == ["--tail=1000", "--max-log-requests=100"]
    forward = shlex.split(port_forward_command(made))
    assert forward == [*kubectl, "port-forward", "service/triton-webservice", "6789:80"]
    assert metrics_uri(made) == "http://triton-webservice-replicas.serving.svc:8002/metrics"


def test_commands_take_another_stacks_kubeconfig_from_there(options):
    made = options(pool={"clusterStack": "organization/infra/prod", "kubeconfigOutput": "admin", "context": "a b"})
    for command in (logs_command(Names.of(made), made.pool), port_forward_command(made)):
        assert command.startswith(
            "kubectl --kubeconfig <(pulumi stack output admin --show-secrets --stack organization/infra/prod) "
            "--context 'a b' --namespace default "
        )
