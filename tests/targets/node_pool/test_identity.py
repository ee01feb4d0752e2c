"""A stack's cluster and no other one: what leads there, whose the names are, and what leads in from outside."""

import pytest

from targets.errors import ServiceError
from targets.node_pool.cluster import way_in
from targets.node_pool.cluster.cluster_client import ClusterError
from targets.node_pool.cluster.identity import Identity, identity
from targets.node_pool.cluster.owners import check_holder, check_owner
from targets.node_pool.cluster.way_in import WayIn, await_way_in
from targets.node_pool.object_names import Names
from targets.node_pool.rollout import RolloutError

FIRST = Identity("prod", "https://one", "u-1")


class Cluster:
    """A cluster with the objects that a test gives it, by kind and name."""

    context_name, server = "other", "https://two"

    def __init__(self, objects):
        self.objects = objects

    def get(self, kind, namespace, name):
        return self.objects.get((kind, name))

    def events(self, namespace, name):
        said = {"Service": "quota exceeded", "Deployment": "scaled up"}
        return [{"reason": "Told", "message": text, "involvedObject": {"kind": kind}} for kind, text in said.items()]


def owned(owner):
    return {"metadata": {"annotations": {"triton-serving/stack": owner} if owner else {}}}


def test_another_cluster_is_refused_and_both_are_named():
    found = identity(Cluster({("namespaces", "kube-system"): {"metadata": {"uid": "u-2"}}}))
    with pytest.raises(ClusterError) as failure:
        FIRST.expect(found)
    for words in ("u-1 (context prod, https://one)", "u-2 (context other, https://two)", "use-context prod"):
        assert words in str(failure.value)


def test_the_same_cluster_may_be_called_otherwise():
    FIRST.expect(Identity("renamed", "https://elsewhere", "u-1"))


@pytest.mark.parametrize("kind", ["serviceaccounts", "services", "deployments"])
@pytest.mark.parametrize("suffix", ["", "-front-door", "-replicas"])
def test_a_name_that_another_stack_has_names_that_stack_and_the_setting_that_replaces_it(kind, suffix):
    cluster, names = Cluster({(kind, f"svc{suffix}"): owned("organization/p/other")}), Names("svc", "serving")
    with pytest.raises(ServiceError, match=r"taken .* by the stack organization/p/other; .*deployment\.overwrite"):
        check_owner(cluster, names, "organization/p/mine", overwrite=False)
    check_owner(cluster, names, "organization/p/mine", overwrite=True)
    check_owner(cluster, names, "organization/p/other", overwrite=False)


def test_what_no_stack_made_is_refused_too():
    with pytest.raises(ServiceError, match="by something that no stack of this project made"):
        check_owner(Cluster({("services", "svc"): owned("")}), Names("svc", "serving"), "me", overwrite=False)


def test_what_another_stack_took_over_is_not_destroyed():
    cluster = Cluster({("deployments", "svc"): owned("organization/p/other")})
    with pytest.raises(ServiceError, match="is the stack organization/p/other's now"):
        check_holder(cluster, "serving", "svc", "organization/p/mine")
    check_holder(cluster, "serving", "svc", "organization/p/other")
    check_holder(Cluster({}), "serving", "svc", "organization/p/mine")


def accepted(status, reason="NotAllowedByListeners"):
    condition = {"type": "Accepted", "status": status, "reason": reason, "message": "no listener"}
    return {"status": {"parents": [{"parentRef": {"name": "door"}, "conditions": [condition]}]}}


ROUTE = "httproutes.gateway.networking.k8s.io"


@pytest.mark.parametrize(
    ("exposure", "found", "expected"),
    [
        ("loadBalancer", {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}}, WayIn("203.0.113.7")),
        ("loadBalancer", {"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}}, WayIn("lb.example")),
        (
            "loadBalancer",
            {"status": {"loadBalancer": {}}},
            WayIn("", "a load balancer has given the Service svc no address"),
        ),
        ("ingress", {"status": {}}, WayIn("", "an Ingress controller has given the Ingress svc no address")),
        ("ingress", None, WayIn("", "there is no Ingress svc in the namespace serving")),
        ("gateway", accepted("True"), WayIn()),
        ("gateway", {}, WayIn("", "no Gateway has accepted the HTTPRoute svc")),
        (
            "gateway",
            accepted("False"),
            WayIn("", "the Gateway door refuses the HTTPRoute svc: NotAllowedByListeners: no listener"),
        ),
    ],
)
def test_what_leads_in_is_there_when_its_controller_says_so(exposure, found, expected):
    kind = {"loadBalancer": "services", "ingress": "ingresses", "gateway": ROUTE}[exposure]
    assert WayIn.measure(Cluster({(kind, "svc"): found}), exposure, "serving", "svc") == expected


def test_a_balancer_that_never_comes_is_waited_for_aloud_and_not_for_ever(monkeypatch):
    monkeypatch.setattr(way_in, "_POLL_SECONDS", 0)
    said = []
    with pytest.raises(RolloutError) as failure:
        await_way_in(Cluster({("services", "svc"): {"status": {}}}), "loadBalancer", "serving", "svc", 0, said.append)
    assert "no address yet; waiting for 0 s more at the most" in said[0]
    assert "after 0 s (nodePool.exposure.addressSeconds)" in str(failure.value)
    assert "1x Told: quota exceeded" in str(failure.value)
    assert "scaled up" not in str(failure.value)
