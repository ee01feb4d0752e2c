"""Render Envoy's files from the options, as a dictionary of file names and texts.

Envoy starts with `bootstrap.json`. It discovers the other files and reads each again when it is replaced:
`listeners.json`, `clusters.json`, `routes.json`, `keys.json`, `tls.json`, and with discovery "file" one
`endpoints.<cluster>.json` for each cluster. Each of these carries a version, the digest of its content. Envoy reports
the version once it uses the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import bootstrap, clusters, listener, routes
from gateway.clients import Client
from gateway.front_door_options import Candidate, Options, Upstreams
from gateway.identities import identity_filter
from gateway.keys import Keys

BOOTSTRAP_FILE = "bootstrap.json"
SECRET_FILES = frozenset({listener.KEYS_FILE})

_TYPES = {
    "listeners.json": "envoy.config.listener.v3.Listener",
    "clusters.json": "envoy.config.cluster.v3.Cluster",
    "routes.json": "envoy.config.route.v3.RouteConfiguration",
    listener.TLS_FILE: "envoy.extensions.transport_sockets.tls.v3.Secret",
    listener.KEYS_FILE: "envoy.config.core.v3.TypedExtensionConfig",
}
_ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"


def render(options: Options) -> dict[str, str]:
    """Render all files except the keys'. Pure: the same options give the same text.

    Example:
        options = Options(Upstreams(scorer=loopback(5001)), directory="/run/envoy")
        files = render(options) | render_keys(Keys(make_key(), make_key()))
        envoy_folder.install(Path(options.directory), files)

    Returns:
        The texts by file name.
    """
    files = {
        BOOTSTRAP_FILE: _text(bootstrap.bootstrap(options)),
        "clusters.json": _discovery("clusters.json", clusters.clusters(options)),
        "listeners.json": _discovery("listeners.json", [listener.front_door(options)]),
    }
    files |= render_routes(options)
    if options.tls is not None:
        files[listener.TLS_FILE] = _discovery(listener.TLS_FILE, [listener.certificate(options)])
    if options.discovery == "file":
        files |= render_endpoints(options.upstreams, candidate=options.candidate)
    return files


def render_routes(options: Options) -> dict[str, str]:
    """Render the file of the routes, the one that changes where the candidate's share of the traffic changes.

    Example:
        half = replace(options, candidate=replace(candidate, weight=50))
        envoy_folder.replace(Path(options.directory), render_routes(half), admin)
    """
    return {"routes.json": _discovery("routes.json", [routes.route_configuration(options)])}


def render_endpoints(
    serving: Upstreams,
    draining: Upstreams | None = None,
    stopped: Upstreams | None = None,
    candidate: Candidate | None = None,
) -> dict[str, str]:
    """Render the endpoint files of a rollout, for discovery "file"; the arguments are those of `clusters.endpoints`."""
    return {
        clusters.endpoints_file(cluster): _discovery(clusters.endpoints_file(cluster), [assignment])
        for cluster, assignment in clusters.endpoints(serving, draining, stopped, candidate).items()
    }


def render_keys(
    keys: Keys, clients: Sequence[Client] = (), client_keys: Mapping[str, Keys] | None = None
) -> dict[str, str]:
    """Render the file of the keys and of who has which. It is secret: only Envoy and the owner may read it.

    The arguments are those of `identities.identity_filter`.
    """
    resource = {"name": listener.KEYS, "typed_config": identity_filter(keys, clients, client_keys)}
    return {listener.KEYS_FILE: _discovery(listener.KEYS_FILE, [resource])}


def version(text: str) -> str:
    """Return the version that a rendered file carries; the bootstrap has none."""
    return str(json.loads(text)["version_info"])


def _discovery(name: str, resources: list[dict[str, Any]]) -> str:
    resource_type = f"type.googleapis.com/{_TYPES.get(name, _ENDPOINTS)}"
    content = json.dumps(resources, sort_keys=True).encode()
    if name in SECRET_FILES:
        # The version is public, in the metrics too. A slow digest makes it costly to test guesses of a key against it.
        digest = hashlib.pbkdf2_hmac("sha256", content, b"gateway", 100_000).hex()
    else:
        digest = hashlib.sha256(content).hexdigest()
    message = {"version_info": digest[:16], "resources": [{"@type": resource_type, **found} for found in resources]}
    # Nobody reads the keys' file, and a Kubernetes Secret has room for 1 MiB.
    return _text(message, indent=None if name in SECRET_FILES else 2)


def _text(message: dict[str, Any], *, indent: int | None = 2) -> str:
    return json.dumps(message, indent=indent) + "\n"
