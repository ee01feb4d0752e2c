"""What the tests do to a cluster, over its API: apply, delete, evict, run commands in pods."""

import json
from collections.abc import Iterable
from typing import Any

import kr8s

from targets.node_pool.cluster.diagnosis import obstacles
from targets.node_pool.rendering import Manifest
from tests.waiting import eventually

FIELD_MANAGER = "tests"
# Every kind that the program makes, and those that follow from them.
KINDS = (
    "serviceaccounts",
    "configmaps",
    "secrets",
    "services",
    "deployments",
    "poddisruptionbudgets",
    "networkpolicies",
    "ingresses",
    "horizontalpodautoscalers",
    "replicasets",
    "pods",
    "endpointslices",
)


class Kube:
    """The cluster of KUBECONFIG."""

    def __init__(self) -> None:
        self._api = kr8s.api()
        self._told = ""

    def apply(self, manifests: Iterable[Manifest]) -> None:
        """Server-side apply, as `kubectl apply --server-side` does it."""
        for manifest in manifests:
            made = kr8s.objects.object_from_spec(manifest, api=self._api, allow_unknown_type=True)
            self._call(
                "PATCH",
                made,
                params={"fieldManager": FIELD_MANAGER, "force": "true"},
                headers={"content-type": "application/apply-patch+yaml"},
                content=json.dumps(manifest),
            )

    def delete(self, manifests: Iterable[Manifest]) -> None:
        """Delete objects and whatever belongs to them; those that are gone already are left alone."""
        for manifest in manifests:
            made = kr8s.objects.object_from_spec(manifest, api=self._api, allow_unknown_type=True)
            if made.exists():
                made.delete(propagation_policy="Foreground")

    def existing(self, manifests: Iterable[Manifest]) -> list[str]:
        """`Kind/name` of those of these objects that are there, deleted but not gone ones among them."""
        made = (
            kr8s.objects.object_from_spec(manifest, api=self._api, allow_unknown_type=True) for manifest in manifests
        )
        return [f"{one.kind}/{one.name}" for one in made if one.exists()]

    def pods(self, namespace: str, labels: dict[str, str]) -> list[Any]:
        """The pods with these labels that are not about to end, as kr8s has them."""
        found = kr8s.get("pods", namespace=namespace, label_selector=labels, api=self._api)
        return [pod for pod in found if "deletionTimestamp" not in pod.metadata]

    def execute(self, pod: Any, container: str, *command: str) -> str:
        """What a command in a container writes; it must end well."""
        try:
            return str(pod.exec(list(command), container=container, check=True).stdout.decode())
        except Exception as error:  # the websocket's tasks wrap what kr8s raises in groups
            while grouped := getattr(error, "exceptions", ()):
                error = grouped[0]
            raise error from None

    def evict(self, pod: Any) -> int:
        """Ask for a pod's eviction as a drain does; the status of the answer, 429 where its budget refuses."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.name}}
        return self._call("POST", pod, suffix="/eviction", json=eviction, raise_for_status=False)

    def node(self) -> Any:
        """The one node."""
        (node,) = kr8s.get("nodes", api=self._api)
        return node

    def machine(self) -> str:
        """The node's address, which is this machine's and which pods reach."""
        return next(str(one["address"]) for one in self.node().status.addresses if one["type"] == "InternalIP")

    def troubles_of_node(self) -> str:
        """Why the node takes no pods just now, "" when it does; said, so that a test's log tells what it waited for."""
        node = self.node().raw
        told = "; ".join(obstacles({"spec": {"tolerations": [{"key": "sku", "operator": "Exists"}]}}, node))
        if told and told != self._told:
            print(told, [c for c in node["status"]["conditions"] if c["type"] != "Ready" and c["status"] != "False"])
        self._told = told
        return told

    def names(self, namespace: str, kinds: Iterable[str]) -> list[str]:
        """`kind/name` of the objects of these kinds in a namespace."""
        found = ((kind, o) for kind in kinds for o in kr8s.get(kind, namespace=namespace, api=self._api))
        return sorted(f"{kind}/{o.name}" for kind, o in found)

    def _call(self, method: str, made: Any, suffix: str = "", **request: Any) -> int:
        url = f"{made.endpoint}/{made.name}{suffix}"
        return int(_call(self._api, method, made.version, made.namespace if made.namespaced else None, url, request))


def _call(api: Any, method: str, version: str, namespace: str | None, url: str, request: dict[str, Any]) -> int:
    from kr8s._async_utils import as_sync_func

    async def call() -> int:
        async with api.call_api(method, version=version, namespace=namespace, url=url, **request) as response:
            return int(response.status_code)

    return as_sync_func(call)()


def await_fit_node(kube: Kube) -> None:
    """Wait until the node takes pods; fails after 7 minutes."""
    eventually(lambda: not kube.troubles_of_node(), "the node takes pods", 420)
