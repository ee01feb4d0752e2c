"""All Envoys of a service, each asked through a port-forward to its pod.

A port-forward enters by the kubelet, so no NetworkPolicy and no cloud's firewall between the API server and pods is in
its way, and it reaches the listener on the pod's own loopback (`gateway_files.DRAIN_PORT`), which nobody else can.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from gateway.admin import Admin
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.diagnosis import is_ready
from targets.node_pool.object_names import FRONT_DOOR, Names
from targets.node_pool.objects.gateway_files import DRAIN_PORT

__all__ = ["Envoys"]


class Envoys:
    """The Envoys that take requests now."""

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

    def pods(self) -> list[str]:
        """List the pods of Envoys that are not about to end, those that start among them."""
        found = self._cluster.select("pods", self._names.namespace, self._names.selector(FRONT_DOOR))
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def admins(self) -> dict[str, Admin]:
        """Give the Envoys by the names of their pods."""
        pods = self._cluster.select("pods", self._names.namespace, self._names.selector(FRONT_DOOR))
        ready = [pod["metadata"]["name"] for pod in pods if is_ready(pod)]
        self._keep(ready)
        for name in ready:
            if name not in self._open:
                forward = ExitStack()
                port = forward.enter_context(self._cluster.pod_forwarded(self._names.namespace, name, DRAIN_PORT))
                self._open[name] = Admin.at(f"http://127.0.0.1:{port}", f"pod {name}"), forward
        return {name: admin for name, (admin, _) in self._open.items()}

    def _keep(self, names: list[str] | tuple[str, ...]) -> None:
        for name in self._open.keys() - set(names):
            self._open.pop(name)[1].close()
