"""Every preset, shape and toggle, held against Kubernetes' schemas and against what a reviewer of clusters asks."""

import functools
import json
import re
from base64 import b64encode
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.targets.node_pool.conftest import OWN, PRESETS, SHAPES

OLDEST, NEWEST = "1.29", "1.36"
CUSTOM_KINDS = yaml.safe_load(Path(__file__).with_name("custom_kinds.yaml").read_text())
# Kinds and versions that are served from 1.29 to 1.36 and that neither of them deprecates.
APIS = {
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("networking.k8s.io/v1", "Ingress"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
}

TLS = {"tls": {"certificateFile": "certificate.pem", "keyFile": "key.pem"}}
GATEWAY = {"name": "public", "namespace": "gateways", "sectionName": "https"}
PROMETHEUS = "http://prometheus.monitoring:9090"
TOGGLES = {
    "nothing": {},
    "no GPU": {"deployment": {"gpuCores": 0}},
    "two GPUs and a spare": {"deployment": {"gpuCores": 2}, "nodePool": {"spareGpus": 2, "numReplicas": 3}},
    "MIG": {"nodePool": {"gpuResource": "nvidia.com/mig-1g.10gb"}},
    "time slices": {"nodePool": {"gpuResource": "nvidia.com/gpu.shared"}},
    "recreate": {"deployment": {"rollout": {"strategy": "recreate"}}},
    "no keys": {"deployment": {"authEnabled": False}},
    "namespace": {"nodePool": {"namespace": "serving", "createNamespace": True}},
    "classes": {"nodePool": {"priorityClassName": "high", "runtimeClassName": "nvidia", "imagePullSecrets": ["pull"]}},
    "identity": {"nodePool": {"serviceAccountAnnotations": {"a/b": "c"}, "podLabels": {"d": "e"}}},
    "registry of Google": {
        "registry": "gs://bucket/models",
        "nodePool": {"modelsFrom": "registry", "credentialsSecret": "gs", "downloadGb": 40},
    },
    "password of the registry": {"image": {"username": "robot"}, "imagePassword": "s3cret-of-a-registry"},
    "registry": {"registry": "s3://bucket/models", "nodePool": {"modelsFrom": "registry", "credentialsSecret": "s3"}},
    "load balancer": TLS | {"nodePool": {"exposure": {"kind": "loadBalancer", "sourceRanges": ["10.0.0.0/8"]}}},
    "private load balancer": {
        "nodePool": {"exposure": {"kind": "loadBalancer", "internal": True, "annotations": {"a": "b"}}}
    },
    "ingress": {
        "nodePool": {"exposure": {"kind": "ingress", "host": "models.example", "className": "nginx", "tlsSecret": "t"}}
    },
    "gateway": {"nodePool": {"exposure": {"kind": "gateway", "host": "models.example", "gateway": GATEWAY}}},
    "scale by queue time": {"nodePool": {"autoscale": {}}},
    "KEDA by queue time": {"nodePool": {"autoscale": {"keda": True, "prometheus": PROMETHEUS}}},
    "KEDA to zero": {"nodePool": {"autoscale": {"keda": True, "prometheus": PROMETHEUS, "minReplicas": 0}}},
    "scale by CPU": {"nodePool": {"autoscale": {"by": "cpu"}}},
    "KEDA": {"nodePool": {"autoscale": {"by": "cpu", "keda": True}}},
    "monitors": {"nodePool": {"monitoring": {"scrape": "podMonitor", "alerts": True, "dashboard": True}}},
    "service monitors": {"nodePool": {"monitoring": {"scrape": "serviceMonitor", "labels": {"release": "prometheus"}}}},
}


# A script's own models are in the image, and have no queue in Triton.
OF_TRITON = {"registry", "registry of Google", "scale by queue time", "KEDA by queue time", "KEDA to zero"}
CASES = {
    **{
        f"{toggle}, {shape}": ("aks-gpu", shape, TOGGLES[toggle])
        for toggle in TOGGLES
        for shape in SHAPES
        if shape != "scorer" or toggle not in OF_TRITON
    },
    **{f"{preset}, {shape}": (preset, shape, {}) for preset in (*PRESETS, "own") for shape in SHAPES},
}


@pytest.fixture(params=CASES)
def found(request, rendered):
    """The objects of one case."""
    preset, shape, toggle = CASES[request.param]
    pool = {**(OWN if preset == "own" else {}), **toggle.get("nodePool", {})}
    return rendered(preset, shape, pool, **{key: value for key, value in toggle.items() if key != "nodePool"})


@functools.cache
def validate(manifest: str, version: str) -> None:
    """Validate an object; most cases share most of theirs."""
    kubernetes_validate.validate(json.loads(manifest), version, strict=True)


def pods(manifests):
    return [m["spec"]["template"]["spec"] for m in manifests if m["kind"] == "Deployment"]


def containers(manifests):
    return [c for pod in pods(manifests) for c in [*pod.get("initContainers", []), *pod["containers"]]]


def test_objects_are_valid_from_the_oldest_to_the_newest_kubernetes(found):
    for manifest in found.manifests:
        custom = CUSTOM_KINDS["kinds"].get(f"{manifest['apiVersion']}/{manifest['kind']}")
        if custom is not None:
            jsonschema.validate(manifest["spec"], {**custom, "$defs": CUSTOM_KINDS["$defs"]})
            continue
        assert (manifest["apiVersion"], manifest["kind"]) in APIS
        for version in (OLDEST, NEWEST):
            validate(json.dumps(manifest), version)


def test_objects_keep_the_rules_of_a_careful_cluster(found):
    manifests = found.manifests
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)
    for manifest in manifests:
        metadata = manifest["metadata"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", metadata["name"])
        assert metadata["annotations"]["triton-serving/stack"] == "organization/triton-serving/test"
        assert metadata["labels"]["app.kubernetes.io/name"] == "triton-serving"
    for pod in pods(manifests):
        security = pod["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["serviceAccountName"] != "default"
        assert {c["topologyKey"] for c in pod["topologySpreadConstraints"]} > {"kubernetes.io/hostname"}
        assert not any(pod.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC"))
        assert all({"hostPath"}.isdisjoint(volume) for volume in pod["volumes"])
    for container in containers(manifests):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["image"].endswith(("@sha256:" + "0" * 64, ":v1.40.0"))
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound])
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_every_deployment_has_a_budget_a_policy_and_labels_that_find_its_pods(found):
    for deployment in found.all("Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
        name = deployment["metadata"]["name"]
        for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
            (guard,) = [m for m in found.all(kind) if m["metadata"]["name"] == name]
            assert guard["spec"][field]["matchLabels"] == selector


def test_keys_are_in_secrets_alone(found):
    for manifest in found.manifests:
        secrets = ("key-of-a-test", "s3cret-of-a-registry", b64encode(b"robot:s3cret-of-a-registry").decode())
        assert manifest["kind"] == "Secret" or not any(secret in str(manifest) for secret in secrets)


def test_what_a_pod_mounts_and_names_is_there(found):
    names = {(m["kind"], m["metadata"]["name"]) for m in found.manifests}
    for pod in (found.replica, found.envoy):
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
            if "secret" in volume and volume["name"] != "credentials":  # those are the user's own
                assert ("Secret", volume["secret"]["secretName"]) in names
        mounts = {m["name"] for c in [*pod.get("initContainers", []), *pod["containers"]] for m in c["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}
