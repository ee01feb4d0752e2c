"""Autoscaling and monitoring: rendered when enabled, and asking for what Triton and Envoy export."""

import json
import re

import pytest
import yaml

from targets.node_pool.objects.queries import queue_ms

PROMETHEUS = "http://prometheus.monitoring:9090"


def test_nothing_is_rendered_unless_it_is_enabled(rendered):
    kinds = {manifest["kind"] for manifest in rendered().manifests}
    absent = {"HorizontalPodAutoscaler", "ScaledObject", "PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"}
    assert kinds.isdisjoint(absent | {"Namespace", "Ingress"})
    assert [m["metadata"]["name"] for m in rendered().all("ConfigMap")] == ["triton-webservice-front-door"]


def test_replicas_follow_the_queue_and_the_cpu_whichever_asks_for_more(rendered):
    spec = rendered(pool={"autoscale": {"minReplicas": 2, "maxReplicas": 5, "targetQueueMs": 12.5}}).one(
        "HorizontalPodAutoscaler"
    )["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    queue, cpu = spec["metrics"]
    assert queue["pods"]["metric"]["name"] == "triton_queue_ms_per_request"
    assert queue["pods"]["target"] == {"type": "AverageValue", "averageValue": "12500m"}
    assert cpu["containerResource"]["container"] == "triton"


@pytest.mark.parametrize(
    ("shape", "containers"),
    [("triton", ["triton"]), ("triton and scorer", ["triton", "scorer"]), ("scorer", ["scorer"])],
)
def test_cpu_is_that_of_each_container_for_without_a_gpu_triton_uses_most(rendered, shape, containers):
    by_kubernetes = rendered(shape=shape, pool={"autoscale": {"by": "cpu"}}).one("HorizontalPodAutoscaler")["spec"]
    by_keda = rendered(shape=shape, pool={"autoscale": {"by": "cpu", "keda": True}}).one("ScaledObject")["spec"]
    assert [metric["containerResource"]["container"] for metric in by_kubernetes["metrics"]] == containers
    assert [trigger["metadata"]["containerName"] for trigger in by_keda["triggers"]] == containers


def test_an_autoscaled_deployment_does_not_say_how_many(rendered):
    assert "replicas" not in rendered(pool={"autoscale": {}}).one("Deployment")["spec"]
    assert rendered(pool={"numReplicas": 3}).one("Deployment")["spec"]["replicas"] == 3


def test_the_adapters_rule_gives_the_metric_that_the_autoscaler_asks_for(rendered):
    data = rendered(pool={"autoscale": {}}).one("ConfigMap", "-prometheus-adapter")["data"]
    (rule,) = yaml.safe_load(data["config.yaml"])["rules"]
    assert rule["name"]["as"] == "triton_queue_ms_per_request"
    assert rule["resources"]["overrides"] == {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
    assert "<<.LabelMatchers>>" in rule["metricsQuery"]
    assert "<<.GroupBy>>" in rule["metricsQuery"]


def test_queue_time_is_taken_per_model_before_models_are_compared():
    """Two models in one pod: the slow one's wait must show although the fast one has most of the requests."""
    query = queue_ms('namespace="n"', "pod")
    queued = 'sum by (pod, model) (rate(nv_inference_queue_duration_us{namespace="n"}[2m]))'
    requests = 'sum by (pod, model) (rate(nv_inference_request_success{namespace="n"}[2m]))'
    assert query == f"max by (pod) ({queued} / clamp_min({requests}, 1e-9)) / 1000"


def test_keda_scales_to_zero_and_is_woken_by_requests(rendered):
    pool = {"autoscale": {"keda": True, "minReplicas": 0, "prometheus": PROMETHEUS}}
    spec = rendered(shape="triton and scorer", pool=pool).one("ScaledObject")["spec"]
    assert spec["minReplicaCount"] == 0
    queue, requests, *_ = spec["triggers"]
    assert queue["metricType"] == "Value"
    assert queue["metadata"]["serverAddress"] == PROMETHEUS
    assert "envoy_http_downstream_rq_xx" in requests["metadata"]["query"]


def test_only_clients_keep_the_last_replica_awake(rendered):
    """The probes' golden inferences pass the queue every 15 s, and strangers knock: neither needs a GPU."""
    pool = {"autoscale": {"keda": True, "minReplicas": 0, "prometheus": PROMETHEUS}}
    triggers = rendered(pool=pool).one("ScaledObject")["spec"]["triggers"]
    activation = {"prometheus": "activationThreshold", "cpu": "activationValue"}
    awake = [
        trigger["metadata"]["query"]
        for trigger in triggers
        if int(trigger["metadata"][activation[trigger["type"]]]) < 1_000_000
    ]
    assert {trigger["type"] for trigger in triggers} == {"prometheus", "cpu"}
    assert awake == [
        'sum(rate(envoy_http_downstream_rq_xx{namespace="default",pod=~"triton-webservice-front-door-[0-9a-z]+-[0-9a-z]+",'
        'envoy_http_conn_manager_prefix="front_door",envoy_response_code_class!="4"}[2m]))'
    ]


@pytest.mark.parametrize(
    ("shape", "ports"),
    [("triton", ["metrics"]), ("triton and scorer", ["metrics", "score"]), ("scorer", ["score"])],
)
def test_each_of_a_replicas_servers_is_scraped_and_may_be(rendered, shape, ports):
    found = rendered(shape=shape, pool={"monitoring": {"scrape": "podMonitor", "alerts": True}})
    replica, _ = found.all("PodMonitor")
    assert [endpoint["port"] for endpoint in replica["spec"]["podMetricsEndpoints"]] == ports
    policy = next(p for p in found.all("NetworkPolicy") if p["metadata"]["name"] == "triton-webservice")
    (monitoring,) = (rule for rule in policy["spec"]["ingress"] if "namespaceSelector" in rule["from"][0])
    numbers = {"metrics": 8002, "score": 5001}
    assert [port["port"] for port in monitoring["ports"]] == [numbers[port] for port in ports]
    assert ("nv_inference" in json.dumps(found.one("PrometheusRule"))) == (shape != "scorer")


def test_without_a_monitor_nobody_but_envoy_reaches_the_scorer(rendered):
    policy, _ = rendered(shape="scorer").all("NetworkPolicy")
    assert all("namespaceSelector" not in rule["from"][0] for rule in policy["spec"]["ingress"])


def test_monitors_name_ports_that_the_pods_have(rendered):
    found = rendered(pool={"monitoring": {"scrape": "podMonitor", "labels": {"release": "prometheus"}}})
    ports = {port["name"] for pod in (found.replica, found.envoy) for c in pod["containers"] for port in c["ports"]}
    for monitor in found.all("PodMonitor"):
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_service_monitors_find_a_service_with_the_port_they_name(rendered):
    found = rendered(pool={"monitoring": {"scrape": "serviceMonitor"}})
    for monitor in found.all("ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        services = [s for s in found.all("Service") if selector.items() <= s["metadata"]["labels"].items()]
        ports = {port["name"] for service in services for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


@pytest.mark.parametrize("shape", ["triton", "triton and scorer"])
def test_alerts_name_the_service_and_last_before_they_ring(rendered, shape):
    (group,) = rendered(shape=shape, pool={"monitoring": {"alerts": True}}).one("PrometheusRule")["spec"]["groups"]
    assert len(group["rules"]) == 8
    for rule in group["rules"]:
        assert "triton-webservice" in rule["annotations"]["summary"]
        assert rule["for"].endswith("m")
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_a_service_that_may_scale_to_zero_does_not_alert_on_having_no_replica(rendered):
    pool = {"autoscale": {"keda": True, "minReplicas": 0, "prometheus": PROMETHEUS}, "monitoring": {"alerts": True}}
    assert "NoReplica" not in json.dumps(rendered(pool=pool).one("PrometheusRule"))


def test_the_dashboards_panels_do_not_overlap(rendered):
    found = rendered(pool={"monitoring": {"dashboard": True}}).one("ConfigMap", "-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    *panels, row = json.loads(found["data"]["triton-webservice-dashboard.json"])["panels"]
    panels += [row, *row["panels"]]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places) > 9
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels if panel is not row for target in panel["targets"])


def test_each_client_has_a_row_of_the_dashboard(rendered):
    found = rendered(pool={"monitoring": {"dashboard": True}}).one("ConfigMap", "-dashboard")
    dashboard = json.loads(found["data"]["triton-webservice-dashboard.json"])
    variable = next(each for each in dashboard["templating"]["list"] if each["name"] == "client")
    assert re.fullmatch(
        r'label_values\(envoy_front_door_requests\{.*,client!~"-\|"\}, client\)', variable["query"]["query"]
    )
    row = dashboard["panels"][-1]
    assert (row["type"], row["repeat"], row["collapsed"]) == ("row", "client", True)
    assert all('client="$client"' in target["expr"] for panel in row["panels"] for target in panel["targets"])
    by_client = next(panel for panel in dashboard["panels"] if panel["title"] == "Answers a second, by client")
    (unknown,) = (each["expr"] for each in by_client["targets"] if each["legendFormat"] == "unknown (401)")
    assert unknown.count(',client="-",') == 2  # a script's 401 is a known client's


def test_alerts_tell_who_is_unknown_who_asks_too_much_and_who_asks_for_what_is_not_granted(rendered):
    (group,) = rendered(pool={"monitoring": {"alerts": True}}).one("PrometheusRule")["spec"]["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    door = 'namespace="default",pod=~"triton-webservice-front-door-[0-9a-z]+-[0-9a-z]+"'
    assert rules["TritonServingUnknownClients"]["expr"] == (
        f'sum (rate(envoy_front_door_requests{{{door},client="-",status=~"401"}}[2m]) '
        f'or rate(envoy_front_door_requests{{{door},client="-",grpc_status=~"UNAUTHENTICATED"}}[2m])) > 0.1'
    )
    known = f'{door},client!~"-|"'
    for alert, http, grpc in (("NotGranted", "403", "PERMISSION_DENIED"), ("Quota", "429", "RESOURCE_EXHAUSTED")):
        assert rules[f"TritonServing{alert}"]["expr"] == (
            f'sum by (client) (rate(envoy_front_door_requests{{{known},status=~"{http}"}}[2m]) '
            f'or rate(envoy_front_door_requests{{{known},grpc_status=~"{grpc}"}}[2m])) '
            f"/ clamp_min(sum by (client) (rate(envoy_front_door_requests{{{known}}}[2m])), 1e-9) > 0.05"
        )
        assert "Client {{ $labels.client }}" in rules[f"TritonServing{alert}"]["annotations"]["summary"]


def test_without_keys_there_are_no_clients_to_watch(rendered):
    found = rendered(deployment={"authEnabled": False}, pool={"monitoring": {"dashboard": True, "alerts": True}})
    dashboard = json.loads(found.one("ConfigMap", "-dashboard")["data"]["triton-webservice-dashboard.json"])
    assert all(panel["type"] != "row" for panel in dashboard["panels"])
    assert "429" not in json.dumps(found.one("PrometheusRule"))
