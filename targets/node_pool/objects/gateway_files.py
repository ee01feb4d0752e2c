"""Envoy's configuration for its pods: what `gateway` renders, and the way in for the hook that drains it."""

import json
from typing import Any

from environment.image_layout import RECORDER_PORT, SCORER_PORT, TRITON_GRPC_PORT, TRITON_HTTP_PORT, TRITON_METRICS_PORT
from gateway import envoy_files
from gateway.cors_filter import VARIABLE, origins
from gateway.front_door_options import Address, Tls, Triton, Upstreams
from gateway.front_door_options import Options as GatewayOptions
from gateway.listener import CONNECTION_MANAGER
from gateway.otel_variables import traces_of
from settings.clients import door_clients
from targets.door_options import door_options
from targets.node_pool.object_names import FRONT_DOOR_PORT, STATISTICS_PORT, Names
from targets.node_pool.rendering import Options

__all__ = [
    "ADMIN_FOLDER",
    "CERTIFICATE_FOLDER",
    "CONFIGURATION_FOLDER",
    "DRAIN_PORT",
    "HEALTH_PATH",
    "KEYS_FOLDER",
    "gateway_files",
    "gateway_options",
    "upstreams",
]

CONFIGURATION_FOLDER = "/etc/gateway/configuration"
KEYS_FOLDER = "/etc/gateway/keys"
CERTIFICATE_FOLDER = "/etc/gateway/certificate"
ADMIN_FOLDER = "/run/gateway"
DRAIN_PORT = 9902
HEALTH_PATH = "/healthz"


def gateway_files(options: Options) -> dict[str, str]:
    """Envoy's files by name, those of the keys aside."""
    files = envoy_files.render(gateway_options(options))
    bootstrap = json.loads(files[envoy_files.BOOTSTRAP_FILE])
    bootstrap["static_resources"]["listeners"].append(_drain_listener())
    return {**files, envoy_files.BOOTSTRAP_FILE: json.dumps(bootstrap, indent=2) + "\n"}


def gateway_options(options: Options) -> GatewayOptions:
    """Give the options of each Envoy while no candidate is there."""
    settings, doors = options.settings, options.pool.front_door
    return door_options(
        options.limits,
        options.opening,
        clients=door_clients(settings.clients),
        doors=doors.num_replicas,
        upstreams=upstreams(
            Names.of(options).replicas,
            triton=options.triton,
            scorer=options.scorer,
            recorder=options.recorded_megabytes is not None,
        ),
        directory=CONFIGURATION_FOLDER,
        secrets_directory=KEYS_FOLDER,
        discovery="dns",
        listen=Address("0.0.0.0", FRONT_DOOR_PORT),
        stats=Address("0.0.0.0", STATISTICS_PORT),
        admin_socket=f"{ADMIN_FOLDER}/admin.sock",
        health_path=HEALTH_PATH,
        tls=Tls(f"{CERTIFICATE_FOLDER}/tls.crt", f"{CERTIFICATE_FOLDER}/tls.key") if settings.tls else None,
        idle_seconds=620,  # longer than load balancers keep connections for their next request, Google's for 600 s
        memory_bytes=doors.memory_mb * 2**20,
        cors_origins=origins(settings.environment.variables.get(VARIABLE, "")),
        traces=traces_of(settings.environment.variables, settings.service_name),
    )


def upstreams(host: str, *, triton: bool, scorer: bool, recorder: bool = False) -> Upstreams:
    """Give the servers behind a headless Service.

    Its name is short: the pods' own search path knows the cluster's domain.
    """
    served = (
        Triton(Address(host, TRITON_HTTP_PORT), Address(host, TRITON_GRPC_PORT), Address(host, TRITON_METRICS_PORT))
        if triton
        else None
    )
    return Upstreams(
        triton=served,
        scorer=Address(host, SCORER_PORT) if scorer else None,
        recorder=Address(host, RECORDER_PORT) if recorder else None,
    )


def _drain_listener() -> dict[str, Any]:
    """Render a listener for the pod's own loopback: the paths of the admin socket that its preStop hook needs."""
    wanted = (("POST", "/healthcheck/fail"), ("POST", "/drain_listeners"), ("GET", "/stats"))
    routes = [
        {
            "match": {"path": path, "headers": [{"name": ":method", "string_match": {"exact": method}}]},
            "route": {"cluster": "admin"},
        }
        for method, path in wanted
    ]
    manager = {
        "@type": CONNECTION_MANAGER,
        "stat_prefix": "drain",
        "route_config": {"name": "drain", "virtual_hosts": [{"name": "drain", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": "drain",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": DRAIN_PORT}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
