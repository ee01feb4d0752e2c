"""The cluster as a program reads it: pods, events, logs, and a way in to the front door."""

import os
import ssl
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import kr8s

from targets.machine.ports import free_ports
from targets.node_pool.cluster.diagnosis import is_ready
from targets.node_pool.cluster.errors import ClusterError, CredentialError
from targets.node_pool.cluster.kubeconfig import Kubeconfig
from targets.node_pool.rendering import Manifest

__all__ = ["Cluster", "ClusterError"]


_REFUSED = (401, 403)
_LOGGED_IN = "is KUBECONFIG right, and are you logged in?"


class Cluster:
    """The cluster of a kubeconfig's context (`""`: the current one); objects are plain JSON.

    The kubeconfig is a text where one is given, and this machine's (KUBECONFIG, ~/.kube/config) otherwise.

    Raises `ClusterError` from every method.
    """

    def __init__(self, context: str = "", kubeconfig: Kubeconfig | None = None) -> None:
        self.context = context
        self.kubeconfig = kubeconfig
        # The library gives a client that it has already to whoever asks for none in particular, of another cluster too.
        given: Any = os.environ.get("KUBECONFIG") or "~/.kube/config"
        close: Callable[[], None] = _nothing
        if kubeconfig is not None:
            given, close = kubeconfig.credential_files(context)
        try:
            with self._errors():
                self._api = kr8s.api(kubeconfig=given, context=context or None)
        except ClusterError:
            close()
            raise
        if kubeconfig is not None:
            weakref.finalize(self, _forget, self._api.auth, close)

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
        with self._errors():
            selector = {"metadata.name": name}
            found = list(self._api.get(kind, namespace=namespace or None, field_selector=selector))
        return _json(found[0]) if found else None

    def select(self, kind: str, namespace: str, labels: dict[str, str]) -> list[Manifest]:
        """List the objects with these labels."""
        with self._errors():
            return [_json(found) for found in self._api.get(kind, namespace=namespace, label_selector=labels)]

    def nodes(self, labels: dict[str, str]) -> list[Manifest] | None:
        """List the nodes with these labels; None where whoever asks may not see nodes, as in many shared clusters."""
        try:
            with self._errors():
                return [_json(found) for found in self._api.get("nodes", label_selector=labels)]
        except ClusterError:
            return None

    def events(self, namespace: str, name: str) -> list[Manifest]:
        """List the events of the object of that name, oldest first."""
        with self._errors():
            selector = {"involvedObject.name": name}
            events = [_json(found) for found in self._api.get("events", namespace=namespace, field_selector=selector)]
        return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 200) -> list[str]:
        """Read the last lines of a container, or of the one before its restart; none where there is no log."""
        try:
            with self._errors():
                found = kr8s.objects.Pod.get(pod, namespace=namespace, api=self._api)
                return list(found.logs(container=container, previous=previous, tail_lines=lines))
        except ClusterError:
            return []

    def patch(self, kind: str, namespace: str, name: str, patch: Manifest) -> None:
        """Change an object by a merge patch; one that is not there is left alone."""
        with self._errors():
            found: list[Any] = list(self._api.get(kind, namespace=namespace, field_selector={"metadata.name": name}))
            for one in found:
                one.patch(patch)

    def apply(self, manifest: Manifest) -> None:
        """Make an object, or give one of its name what is declared of it."""
        if not self.merge(manifest):
            with self._errors():
                kr8s.objects.object_from_spec(manifest, api=self._api, allow_unknown_type=True).create()

    def merge(self, manifest: Manifest) -> bool:
        """Give an object what a part of its manifest says, in one request; tells whether it is there."""
        with self._errors():
            try:
                kr8s.objects.object_from_spec(manifest, api=self._api, allow_unknown_type=True).patch(manifest)
            except kr8s.NotFoundError:
                return False
        return True

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object, and then what belongs to it; one that is not there is left alone."""
        with self._errors():
            found: list[Any] = list(self._api.get(kind, namespace=namespace, field_selector={"metadata.name": name}))
            for one in found:
                with suppress(kr8s.NotFoundError):  # gone meanwhile
                    one.delete(propagation_policy="Background")

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[int]:
        """Open a port of this machine's loopback that leads to `port` of a ready pod of the Service."""
        found = self.get("services", namespace, service)
        pods = self.select("pods", namespace, found["spec"]["selector"]) if found else []
        ready = [pod["metadata"]["name"] for pod in pods if is_ready(pod)]
        if not ready:
            raise ClusterError(f"no pod of the Service {service} in the namespace {namespace} is ready")
        with self.pod_forwarded(namespace, ready[0], port) as local:
            yield local

    @contextmanager
    def pod_forwarded(self, namespace: str, name: str, port: int) -> Iterator[int]:
        """Open a port of this machine's loopback that leads to `port` of a pod, one of its own loopback too."""
        with self._errors():
            pod = kr8s.objects.Pod.get(name, namespace=namespace, api=self._api)
        with pod.portforward(remote_port=port, local_port=free_ports(1)[0]) as local:
            yield local

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Put the library's exceptions in words, and name the kubeconfig that is not this machine's own."""
        source = self.kubeconfig.source if self.kubeconfig else ""
        try:
            yield
        except kr8s.ServerError as error:
            if source and error.response is not None and error.response.status_code in _REFUSED:
                raise CredentialError(
                    f"the cluster refuses the credential of {source}: {error}; expected one that is valid and may work "
                    "with the service's objects: renew it there, then run up (destroy and refresh take the last up's)"
                ) from None
            raise ClusterError(f"the cluster refuses: {error}") from None
        except kr8s.NotFoundError as error:
            raise ClusterError(f"not found in the cluster: {error}") from None
        except ssl.SSLError as error:
            raise self._bad_certificate(str(error)) from None
        except (httpx.TransportError, kr8s.APITimeoutError, kr8s.ConnectionClosedError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise self._bad_certificate(str(error)) from None
            way = f"does it let this machine in? Its address is from {source}" if source else _LOGGED_IN
            raise ClusterError(f"the cluster does not answer: {error}; {way}") from None
        except RuntimeError as error:  # the kubeconfig's login command, an expired login say
            words = " ".join(str(error).split())
            whose = f"login of {source}" if source else "kubeconfig's login"
            raise CredentialError(f"no way to the cluster: the {whose} failed: {words}; log in again") from None
        except (KeyError, ValueError) as error:
            if source:  # the library's words may show what is in it
                raise CredentialError(f"no way to the cluster: {source} lacks what leads there, or its login") from None
            raise ClusterError(f"no way to the cluster: {error}; is KUBECONFIG right?") from None

    def _bad_certificate(self, words: str) -> CredentialError:
        whose = self.kubeconfig.source if self.kubeconfig else "the kubeconfig"
        return CredentialError(
            f"no way to the cluster: a certificate or key of {whose} does not fit: {words}; expected the cluster's own"
        )


def _json(found: Any) -> Manifest:
    manifest: Manifest = found.raw.to_dict() if hasattr(found.raw, "to_dict") else dict(found.raw)
    return manifest


def _nothing() -> None:
    pass


def _forget(auth: Any, close: Callable[[], None]) -> None:
    """Close a kubeconfig's files in memory, and remove those that the library made of a login command's answer."""
    close()
    for file in (auth.client_key_file, auth.client_cert_file):
        if file and Path(file).parent == Path(tempfile.gettempdir()):
            Path(file).unlink(missing_ok=True)
