"""A kubeconfig that comes as a text, such as another stack's output: a secret that this machine's files never hold.

text ──► Kubeconfig ──► credential_files()   for a client in this process: credentials in memory, by descriptor
                    └─► environment()        for kubectl: the whole text in memory, by an inherited descriptor
"""

import base64
import binascii
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from targets.contract import Stack
from targets.node_pool.cluster.errors import CredentialError
from targets.node_pool.cluster.plugin_copies import CONTEXT

__all__ = ["Kubeconfig"]

# What a kubeconfig holds itself, and the name under which it would have the path of a file.
_EMBEDDED = {
    "certificate-authority-data": "certificate-authority",
    "client-certificate-data": "client-certificate",
    "client-key-data": "client-key",
}
_FILES = (*_EMBEDDED.values(), "tokenFile")


@dataclass(frozen=True)
class Kubeconfig:
    """The text of a kubeconfig, and its `source` in words: "the output 'kubeconfig' of the stack ...".

    No text of an exception shows what is in it.
    """

    text: str = field(repr=False)
    source: str = "the kubeconfig"

    @classmethod
    def of(cls, stack: Stack) -> "Kubeconfig | None":
        """Give the kubeconfig of the stack that has the cluster; None where the settings name no such stack."""
        pool = stack.settings.node_pool
        return cls(stack.kubeconfig, pool.kubeconfig_source) if pool.cluster_stack is not None else None

    def chosen(self, context: str) -> dict[str, Any]:
        """Give a kubeconfig of one context alone (`""`: the current one).

        Raises:
            CredentialError: The text is no kubeconfig, lacks the context, or names files of the machine that made it.
        """
        document = self._document()
        name = context or document.get("current-context") or ""
        if not name:
            raise self._wrong("names no current context", "a current-context, or nodePool.context with one of its own")
        within = self._entry(document, "contexts", "context", name)
        if within is None:
            if context:
                raise self._wrong(f"has no context '{context}'", "nodePool.context to name one of its own, or unset")
            raise self._wrong("has no context of its current-context's name", "a whole kubeconfig")
        cluster = self._entry(document, "clusters", "cluster", within.get("cluster"))
        user = self._entry(document, "users", "user", within.get("user")) if within.get("user") else {}
        if cluster is None or not isinstance(cluster.get("server"), str) or user is None:
            raise self._wrong("lacks the cluster or the user that its context names", "a whole kubeconfig")
        if names := [key for key in _FILES if key in cluster or key in user]:
            raise self._wrong(
                f"names files of the machine that made it ({', '.join(names)})",
                "the data themselves, as kubectl config view --raw --flatten shows them",
            )
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {**within, "cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
        }

    def for_objects(self, context: str) -> str:
        """Give the text for the provider that makes the objects, by whose copies they are known; "" where it is wrong.

        `NodePoolCluster` tells what is wrong with it.
        """
        try:
            made = self.chosen(context)
        except CredentialError:
            return ""
        user, cluster, within = made["users"][0], made["clusters"][0], made["contexts"][0]
        names = {"cluster": CONTEXT, "user": CONTEXT}
        return json.dumps(
            {
                **made,
                "current-context": CONTEXT,
                "contexts": [{"name": CONTEXT, "context": {**within["context"], **names}}],
                "clusters": [{**cluster, "name": CONTEXT}],
                "users": [{**user, "name": CONTEXT}],
            }
        )

    def credential_files(self, context: str) -> tuple[dict[str, Any], Callable[[], None]]:
        """Give the kubeconfig of a context for a client that reads certificates from files, and what closes these.

        The files are in memory, and this process alone has them. No two kubeconfigs are equal: the client keeps a
        connection by what it was given.

        Raises:
            CredentialError: As `chosen` does, or a certificate is not what it should be.
        """
        made = self.chosen(context)
        descriptors: list[int] = []

        def close() -> None:
            while descriptors:
                os.close(descriptors.pop())

        for part in (made["clusters"][0], made["users"][0]):
            kind = "cluster" if "cluster" in part else "user"
            part[kind] = dict(part[kind])
            for embedded, named in _EMBEDDED.items():
                if embedded not in part[kind]:
                    continue
                try:
                    data = _decoded(part[kind].pop(embedded))
                except (ValueError, binascii.Error):
                    close()
                    raise self._wrong(f"has a {embedded} that is not in Base64", "it as Kubernetes wrote it") from None
                descriptors.append(_in_memory(data))
                part[kind][named] = f"/proc/self/fd/{descriptors[-1]}"
        return {**made, "preferences": {"once": uuid.uuid4().hex}}, close

    @contextmanager
    def environment(self, given: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int]]:
        """Give the variables for a `kubectl` of this kubeconfig, and the descriptor that it has to inherit."""
        descriptor = _in_memory(self.text.encode())
        try:
            yield {**given, "KUBECONFIG": f"/proc/self/fd/{descriptor}"}, descriptor
        finally:
            os.close(descriptor)

    def _document(self) -> dict[str, Any]:
        if not self.text.strip():
            raise CredentialError(f"{self.source} is empty or not there; expected a kubeconfig: export it from there")
        try:
            document = yaml.safe_load(self.text)
        except yaml.YAMLError:  # its own words show the text
            document = None
        lists = ("clusters", "contexts", "users")
        if not isinstance(document, dict) or not all(isinstance(document.get(name), list) for name in lists):
            raise self._wrong(
                "is not a kubeconfig",
                "YAML or JSON with clusters, contexts and users, decoded where a cloud gives it in Base64",
            )
        return document

    def _entry(self, document: Mapping[str, Any], group: str, kind: str, name: Any) -> dict[str, Any] | None:
        for entry in document[group]:
            if isinstance(entry, dict) and entry.get("name") == name:
                found = entry.get(kind)
                return found if isinstance(found, dict) else {} if found is None and kind == "user" else None
        return None

    def _wrong(self, what: str, expected: str) -> CredentialError:
        return CredentialError(f"{self.source} {what}; expected {expected}")


def _decoded(data: Any) -> bytes:
    """Decode a certificate or a key; some tools write it as it is."""
    if not isinstance(data, str):
        raise ValueError("no text")
    return data.encode() if "-----" in data else base64.b64decode(data, validate=False)


def _in_memory(data: bytes) -> int:
    """Make a file in memory, and give its descriptor."""
    descriptor = os.memfd_create("kubeconfig")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    return descriptor
