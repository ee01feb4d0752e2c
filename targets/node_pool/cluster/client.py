"""The cluster as a program reads it: pods, events, logs, and a way in to the front door."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import kr8s

from targets.errors import ServiceError
from targets.machine.ports import free_ports
from targets.node_pool.cluster.diagnosis import is_ready
from targets.node_pool.rendering import Manifest

__all__ = ["Cluster", "ClusterError"]


class ClusterError(ServiceError):
    """A cluster that cannot be asked: no kubeconfig, no such context, no answer, no permission."""


class Cluster:
    """The cluster of a kubeconfig's context (`""`: the current one); objects are plain JSON.

    Raises `ClusterError` from every method.
    """

    def __init__(self, context: str = "") -> None:
        self.context = context
        with _errors():
            self._api = kr8s.api(context=context or None)

    @property
    def context_name(self) -> str:
        """The context's name in the kubeconfig; "" inside a pod, which has none."""
        return str(getattr(self._api.auth, "active_context", None) or "")

    @property
    def server(self) -> str:
        """The URL of the cluster's API."""
        return str(self._api.auth.server)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object, or None; `namespace` "" for kinds that have none."""
        with _errors():
            selector = {"metadata.name": name}
            found = list(self._api.get(kind, namespace=namespace or None, field_selector=selector))
        return _json(found[0]) if found else None

    def select(self, kind: str, namespace: str, labels: dict[str, str]) -> list[Manifest]:
        """List the objects with these labels."""
        with _errors():
            return [_json(found) for found in self._api.get(kind, namespace=namespace, label_selector=labels)]

    def nodes(self, labels: dict[str, str]) -> list[Manifest] | None:
        """List the nodes with these labels; None where whoever asks may not see nodes, as in many shared clusters."""
        try:
            with _errors():
                return [_json(found) for found in self._api.get("nodes", label_selector=labels)]
        except ClusterError:
            return None

    def events(self, namespace: str, name: str) -> list[Manifest]:
        """List the events of the object of that name, oldest first."""
        with _errors():
            selector = {"involvedObject.name": name}
            events = [_json(found) for found in self._api.get("events", namespace=namespace, field_selector=selector)]
        return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 200) -> list[str]:
        """Read the last lines of a container, or of the one before its restart; none where there is no log."""
        try:
            with _errors():
                found = kr8s.objects.Pod.get(pod, namespace=namespace, api=self._api)
                return list(found.logs(container=container, previous=previous, tail_lines=lines))
        except ClusterError:
            return []

    def patch(self, kind: str, namespace: str, name: str, patch: Manifest) -> None:
        """Change an object by a merge patch; one that is not there is left alone."""
        with _errors():
            found: list[Any] = list(self._api.get(kind, namespace=namespace, field_selector={"metadata.name": name}))
            for one in found:
                one.patch(patch)

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[int]:
        """Open a port of this machine's loopback that leads to `port` of a ready pod of the Service."""
        found = self.get("services", namespace, service)
        pods = self.select("pods", namespace, found["spec"]["selector"]) if found else []
        ready = [pod["metadata"]["name"] for pod in pods if is_ready(pod)]
        if not ready:
            raise ClusterError(f"no pod of the Service {service} in the namespace {namespace} is ready")
        with _errors():
            pod = kr8s.objects.Pod.get(ready[0], namespace=namespace, api=self._api)
        with pod.portforward(remote_port=port, local_port=free_ports(1)[0]) as local:
            yield local


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except kr8s.ServerError as error:
        raise ClusterError(f"the cluster refuses: {error}") from None
    except kr8s.NotFoundError as error:
        raise ClusterError(f"not found in the cluster: {error}") from None
    except (httpx.TransportError, kr8s.APITimeoutError, kr8s.ConnectionClosedError, OSError) as error:
        raise ClusterError(
            f"the cluster does not answer: {error}; is KUBECONFIG right, and are you logged in?"
        ) from None
    except RuntimeError as error:  # the kubeconfig's login command, an expired login say
        words = " ".join(str(error).split())
        raise ClusterError(f"no way to the cluster: the kubeconfig's login failed: {words}; log in again") from None
    except (KeyError, ValueError) as error:
        raise ClusterError(f"no way to the cluster: {error}; is KUBECONFIG right?") from None


def _json(found: Any) -> Manifest:
    manifest: Manifest = found.raw.to_dict() if hasattr(found.raw, "to_dict") else dict(found.raw)
    return manifest
