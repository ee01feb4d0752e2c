"""All Envoys of a service, each asked through a port-forward to its pod.

A port-forward enters by the kubelet, so no NetworkPolicy and no cloud's firewall between the API server and pods is in
its way, and it reaches the listener on the pod's own loopback (`gateway_files.DRAIN_PORT`), which nobody else can.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Self, TypeVar

from gateway.admin import Admin
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.object_names import FRONT_DOOR, Names
from targets.node_pool.objects.gateway_files import DRAIN_PORT
from targets.node_pool.rendering import Manifest

__all__ = ["Envoys"]

T = TypeVar("T")
_FILES = "triton-serving/files"  # on an Envoy's pod: what it is to read
_AT_ONCE = 8


class Envoys:
    """The Envoys that run now."""

    def __init__(self, cluster: Cluster, names: Names) -> None:
        self._cluster = cluster
        self._names = names
        self._open: dict[str, tuple[Admin, ExitStack]] = {}

    @classmethod
    @contextmanager
    def of(cls, cluster: Cluster, names: Names) -> Iterator[Self]:
        """Reach the Envoys of a service for the length of a block."""
        envoys = cls(cluster, names)
        try:
            yield envoys
        finally:
            envoys._keep(())

    def poke(self, annotation: str) -> None:
        """Have the kubelets look at the files of all Envoys now, those that start among them."""
        pods = self._cluster.select("pods", self._names.namespace, self._names.selector(FRONT_DOOR))
        self._each(self._annotate, [(pod["metadata"]["name"], annotation) for pod in pods])

    def admins(self) -> dict[str, Admin]:
        """Give the Envoys that run now, by the names of their pods: one that is not ready may have clients still."""
        pods = self._cluster.select("pods", self._names.namespace, self._names.selector(FRONT_DOOR))
        running = [pod["metadata"]["name"] for pod in pods if _runs(pod)]
        self._keep(running)
        for name in running:
            if name not in self._open:
                forward = ExitStack()
                port = forward.enter_context(self._cluster.pod_forwarded(self._names.namespace, name, DRAIN_PORT))
                self._open[name] = Admin.at(f"http://127.0.0.1:{port}", f"pod {name}"), forward
        return {name: admin for name, (admin, _) in self._open.items()}

    def ask(self, question: Callable[[Admin], T]) -> dict[str, T]:
        """Ask all Envoys at once; gives their answers by the names of their pods.

        Raises:
            AdminError: One of them does not answer.
        """
        admins = self.admins()
        answers = self._each(lambda name, admin: question(admin), list(admins.items()))
        return dict(zip(admins, answers, strict=True))

    def _annotate(self, pod: str, annotation: str) -> None:
        metadata = {"name": pod, "namespace": self._names.namespace, "annotations": {_FILES: annotation}}
        self._cluster.merge({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})

    @staticmethod
    def _each(act: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda found: act(*found), arguments))

    def _keep(self, names: list[str] | tuple[str, ...]) -> None:
        for name in self._open.keys() - set(names):
            self._open.pop(name)[1].close()


def _runs(pod: Manifest) -> bool:
    """Whether an Envoy has started and is not about to end."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    started = any(one.get("started") and "running" in one.get("state", {}) for one in statuses)
    return started and "deletionTimestamp" not in pod["metadata"]
