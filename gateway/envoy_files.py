"""Rendering: options in, Envoy's files out, as a dict of file name to text.

`bootstrap.json` is what Envoy is started with. The others it discovers, and reads again when they are replaced:
`listeners.json`, `clusters.json`, `routes.json`, `keys.json`, `tls.json`, and with discovery "file" one
`endpoints.<cluster>.json` for each cluster. Each of those carries a version, the digest of its content, which Envoy
reports once it has taken the file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gateway import bootstrap, clusters, listener, routes
from gateway.front_door_options import Options, Upstreams
from gateway.keys import Keys, key_filter

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
    """All files but the keys', by name. Pure: the same options give the same text."""
    files = {
        BOOTSTRAP_FILE: _text(bootstrap.bootstrap(options)),
        "clusters.json": _discovery("clusters.json", clusters.clusters(options)),
        "routes.json": _discovery("routes.json", [routes.route_configuration(options)]),
        "listeners.json": _discovery("listeners.json", [listener.front_door(options)]),
    }
    if options.tls is not None:
        files[listener.TLS_FILE] = _discovery(listener.TLS_FILE, [listener.certificate(options)])
    if options.discovery == "file":
        files |= render_endpoints(options.upstreams)
    return files


def render_endpoints(
    serving: Upstreams, draining: Upstreams | None = None, stopped: Upstreams | None = None
) -> dict[str, str]:
    """Endpoint files that send new requests to `serving`, let those to `draining` finish and leave `stopped` alone.

    For discovery "file".
    """
    return {
        clusters.endpoints_file(cluster): _discovery(clusters.endpoints_file(cluster), [assignment])
        for cluster, assignment in clusters.endpoints(serving, draining, stopped).items()
    }


def render_keys(keys: Keys) -> dict[str, str]:
    """The file of the keys: secret, readable by Envoy and its owner only."""
    resource = {"name": listener.KEYS, "typed_config": key_filter(keys)}
    return {listener.KEYS_FILE: _discovery(listener.KEYS_FILE, [resource])}


def version(text: str) -> str:
    """The version that a rendered file (any but the bootstrap) carries."""
    return str(json.loads(text)["version_info"])


def _discovery(name: str, resources: list[dict[str, Any]]) -> str:
    resource_type = f"type.googleapis.com/{_TYPES.get(name, _ENDPOINTS)}"
    content = json.dumps(resources, sort_keys=True).encode()
    if name in SECRET_FILES:
        # The version is public, in the metrics too: make it costly to try guesses of a key against it.
        digest = hashlib.pbkdf2_hmac("sha256", content, b"gateway", 100_000).hex()
    else:
        digest = hashlib.sha256(content).hexdigest()
    return _text(
        {"version_info": digest[:16], "resources": [{"@type": resource_type, **resource} for resource in resources]}
    )


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, indent=2) + "\n"
