"""As much of a cluster's API as tells which one it is, and whom it lets in."""

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

UID = "00000000-0000-4000-8000-000000000002"
_APPS = {"groupVersion": "apps/v1", "version": "v1"}


@contextlib.contextmanager
def cluster_api(*, token: str = "", tls: ssl.SSLContext | None = None, objects: Any = None) -> Iterator[str]:
    """Serve the API on this machine; gives its URL.

    Args:
        token: The only one that it takes; whoever brings none is let in where it is "".
        tls: The server's side of TLS.
        objects: More objects, by the path of their list.
    """

    class Handler(_Api):
        accepted, more = token, dict(objects or {})

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Api(http.server.BaseHTTPRequestHandler):
    accepted = ""
    more: dict[str, Any] = {}

    def do_GET(self) -> None:
        system = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": UID}}
        answers = {
            "/api/v1": _kinds("v1", "Namespace", "ServiceAccount", "Service"),
            "/apis": {
                "kind": "APIGroupList",
                "groups": [{"name": "apps", "versions": [_APPS], "preferredVersion": _APPS}],
            },
            "/apis/apps/v1": _kinds("apps/v1", "Deployment"),
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.4"},
            "/api/v1/namespaces": {"kind": "NamespaceList", "apiVersion": "v1", "items": [system]},
            **self.more,
        }
        if self.accepted and self.headers.get("Authorization") != f"Bearer {self.accepted}":
            self._answer(401, {"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401})
            return
        nothing = {"kind": "List", "groups": [], "items": []}
        self._answer(200, answers.get(self.path.partition("?")[0].rstrip("/"), nothing))

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _kinds(version: str, *kinds: str) -> dict[str, Any]:
    """An API's list of its kinds."""
    found = [
        {"name": f"{kind.lower()}s", "singularName": kind.lower(), "kind": kind, "namespaced": kind != "Namespace"}
        for kind in kinds
    ]
    resources = [{**one, "verbs": ["get", "list"]} for one in found]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def kubeconfig(url: str, *, cluster: Any = None, **user: Any) -> dict[str, Any]:
    """A kubeconfig with the context `other` for the API at a URL."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "other",
        "contexts": [{"name": "other", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
