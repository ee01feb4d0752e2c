"""The prover's pod: like a replica's, without GPU, probes and Triton; and what is made of its end."""

import json
from base64 import b64decode

import pytest

from targets.errors import ServiceError
from targets.node_pool.canary import prover as module
from targets.node_pool.canary.prover import Prover, variables
from targets.node_pool.object_names import CANDIDATE, FRONT_DOOR, PROVER, Names
from targets.node_pool.objects.candidate import candidate
from tests.targets.node_pool.test_every_object import NEWEST, OLDEST, validate

OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "triton-webservice-candidate", "uid": "u"}
QUESTIONS = {"triton": {"models": [{"name": "digits"}]}, "scorer": {"golden": {}}}


class Cluster:
    """A cluster that runs a pod to its end as soon as it is made, and remembers all that was made."""

    def __init__(self, lines, code=0, phase="Succeeded"):
        self.lines, self.code, self.phase = lines, code, phase
        self.made, self.there = [], {}

    def apply(self, manifest):
        for version in (OLDEST, NEWEST):
            validate(json.dumps(manifest), version)
        self.made.append(manifest)
        ended = {"name": "prover", "state": {"terminated": {"exitCode": self.code}}}
        status = {"phase": self.phase, "containerStatuses": [ended] if self.phase != "Pending" else []}
        plural = {"Pod": "pods", "Secret": "secrets"}[manifest["kind"]]
        self.there[plural, manifest["metadata"]["name"]] = {**manifest, "status": status}

    def get(self, kind, _namespace, name):
        return self.there.get((kind, name))

    def delete(self, kind, _namespace, name):
        self.there.pop((kind, name), None)

    def logs(self, *_, **__):
        return self.lines

    def events(self, *_):
        return []

    def select(self, kind, _namespace, labels):
        assert (kind, labels["app.kubernetes.io/component"]) == ("pods", FRONT_DOOR)
        ending = {"metadata": {"deletionTimestamp": "now"}, "status": {"podIP": "10.0.0.1"}}
        starting, running = {"metadata": {}, "status": {}}, {"metadata": {}, "status": {"podIP": "10.0.0.2"}}
        return [ending, starting, running]


@pytest.fixture
def declared(options):
    return options(
        shape="triton and scorer",
        pool={"spareGpus": 1, "credentialsSecret": "s3"},
        deployment={"rollout": {"replay": {}}},
        environment={"variables": {"COLLECT_URL": "s3://bucket/collected"}},
    )


@pytest.fixture
def prover(declared):
    return lambda cluster: Prover(cluster, Names.of(declared), OWNER)


def test_a_generation_is_described_by_its_image(declared, prover):
    cluster = Cluster([json.dumps(QUESTIONS)])
    deployment = candidate(declared)[-1]
    side = prover(cluster).side(4, CANDIDATE, deployment)
    assert side.servers.scorer == "http://triton-webservice-candidates:5001"
    assert side.servers.triton == "http://triton-webservice-candidates:8000"
    assert (side.number, side.questions, side.models) == (4, QUESTIONS, {"digits"})
    (pod,) = cluster.made
    assert pod["metadata"]["ownerReferences"] == [OWNER]
    assert pod["metadata"]["labels"] == Names.of(declared).labels(PROVER)
    (container,) = pod["spec"]["containers"]
    assert "initContainers" not in pod["spec"]
    assert {"startupProbe", "livenessProbe", "lifecycle", "ports"}.isdisjoint(container)
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert container["resources"]["limits"]["memory"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    theirs = deployment["spec"]["template"]["spec"]
    assert pod["spec"]["tolerations"] == theirs["tolerations"]
    assert pod["spec"]["serviceAccountName"] == theirs["serviceAccountName"]
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == {"scratch", "credentials"}
    assert cluster.there == {}
    assert variables(deployment)["COLLECT_URL"] == "s3://bucket/collected"


def test_the_plan_comes_in_by_a_secret_and_the_verdict_goes_out_by_the_log(declared, prover):
    told = []
    cluster = Cluster(["replaying 5 requests", '{"requests": 5}'])
    outcome = prover(cluster).prove(candidate(declared)[-1], '{"old": null}', 5, told.append)
    assert (outcome.status, outcome.output, outcome.said) == (0, '{"requests": 5}', ["replaying 5 requests"])
    assert told == ["replaying 5 requests"]
    secret, pod = cluster.made
    assert b64decode(secret["data"]["plan.json"]) == b'{"old": null}'
    (container,) = pod["spec"]["containers"]
    assert container["command"][:3] == ["sh", "-c", 'exec "$@" < /run/plan/plan.json']
    assert container["command"][4:] == ["python", "-I", "-m", "serving.proving"]
    assert cluster.there == {}


def test_an_end_without_a_verdict_keeps_its_last_words(declared, prover):
    outcome = prover(Cluster(["no such file"], code=2, phase="Failed")).prove(candidate(declared)[-1], "{}", 5, print)
    assert (outcome.status, outcome.output, outcome.said) == (2, "", ["no such file"])
    with pytest.raises(ServiceError, match="generation 4 does not show what its probe asks: no such file"):
        prover(Cluster(["no such file"], code=1, phase="Failed")).side(4, CANDIDATE, candidate(declared)[-1])


def test_what_keeps_a_prover_from_starting_or_does_not_fit_is_told(declared, prover, monkeypatch):
    monkeypatch.setattr(module, "_SHOWN_SECONDS", 0.1)
    cluster = Cluster([], phase="Pending")
    with pytest.raises(ServiceError, match="the prover has not started after 0 s"):
        prover(cluster).prove(candidate(declared)[-1], "{}", 5, print)
    assert cluster.there == {}
    with pytest.raises(ServiceError, match=r"the golden requests have 1\.1 MB, and Kubernetes passes 1 MB to a pod"):
        prover(cluster).prove(candidate(declared)[-1], "x" * 1_100_000, 5, print)


def test_production_is_watched_at_an_envoy_that_runs(prover):
    assert prover(Cluster([])).front_door_metrics() == "http://10.0.0.2:9901/stats/prometheus"
