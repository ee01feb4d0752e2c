"""The front door: Envoy as a Deployment of its own, so that it stays while replicas come and go."""

from typing import Any

from gateway import envoy_command
from gateway.envoy_files import BOOTSTRAP_FILE
from gateway.listener import KEYS_FILE
from targets.node_pool.object_names import FRONT_DOOR, FRONT_DOOR_PORT, STATISTICS_PORT, Names, manifest
from targets.node_pool.objects.exposure import scheme, sends_to_pods
from targets.node_pool.objects.gateway_files import (
    ADMIN_FOLDER,
    CERTIFICATE_FOLDER,
    CONFIGURATION_FOLDER,
    DRAIN_PORT,
    HEALTH_PATH,
    KEYS_FOLDER,
    gateway_files,
)
from targets.node_pool.objects.image_pull import pull_secrets
from targets.node_pool.objects.resources import front_door_share
from targets.node_pool.objects.scheduling import front_door_placement
from targets.node_pool.objects.security import container_security, pod_security
from targets.node_pool.objects.workload import disruption_budget, service_account
from targets.node_pool.rendering import Manifest, Options

__all__ = ["STARTUP_SECONDS", "front_door"]

_USER = 101  # `envoy` in Envoy's images
_ENDPOINT_SECONDS = 5  # for nodes to forget a pod
_TARGET_SECONDS = 120  # for a load balancer of AWS that knows pods by their addresses
_QUIET_SECONDS = 10
_MARGIN_SECONDS = 10
STARTUP_SECONDS = 60


def front_door(options: Options) -> list[Manifest]:
    """Render the objects of the front door, its Service aside."""
    names = Names.of(options)
    return [
        service_account(options, names.front_door, FRONT_DOOR),
        manifest(options, "v1", "ConfigMap", names.front_door, FRONT_DOOR, data=gateway_files(options)),
        *_secrets(options),
        _deployment(options),
        disruption_budget(options, names.front_door, FRONT_DOOR),
    ]


def _secrets(options: Options) -> list[Manifest]:
    names, contents = Names.of(options), options.contents
    secrets = []
    if options.opening.auth_enabled:
        keys = {
            "primaryKey": contents.primary_key,
            "secondaryKey": contents.secondary_key,
            KEYS_FILE: contents.gateway_keys,
        }
        secrets.append(manifest(options, "v1", "Secret", names.keys, FRONT_DOOR, type="Opaque", stringData=keys))
    if options.settings.tls is not None:
        pair = {"tls.crt": contents.certificate, "tls.key": contents.certificate_key}
        secrets.append(
            manifest(options, "v1", "Secret", names.certificate, FRONT_DOOR, type="kubernetes.io/tls", stringData=pair)
        )
    return secrets


def _endpoint_seconds(options: Options) -> int:
    return _TARGET_SECONDS if sends_to_pods(options) else _ENDPOINT_SECONDS


def _deployment(options: Options) -> Manifest:
    names, settings = Names.of(options), options.pool.front_door
    secrets = pull_secrets(options)
    pod: dict[str, Any] = {
        "serviceAccountName": names.front_door,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _endpoint_seconds(options)
        + options.rollout.graceful_seconds
        + _MARGIN_SECONDS,
        "securityContext": pod_security(_USER),
        **front_door_placement(options),
        **({"imagePullSecrets": secrets} if secrets else {}),
        "containers": [_envoy(options)],
        "volumes": _volumes(options),
    }
    spec = {
        "replicas": settings.num_replicas,
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 300,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": names.selector(FRONT_DOOR)},
        "template": {
            "metadata": {
                "labels": names.labels(FRONT_DOOR),
                # Envoy reads changed files by itself, when the kubelet gets round to them; a rollout can be awaited.
                "annotations": {"triton-serving/configuration": options.contents.gateway_version},
            },
            "spec": pod,
        },
    }
    return manifest(options, "apps/v1", "Deployment", names.front_door, FRONT_DOOR, spec=spec)


def _envoy(options: Options) -> dict[str, Any]:
    settings, drain = options.pool.front_door, options.rollout.graceful_seconds
    command = envoy_command.in_container(
        f"{CONFIGURATION_FOLDER}/{BOOTSTRAP_FILE}",
        concurrency=settings.worker_threads,
        drain_time=drain,
    )
    live = {"httpGet": {"path": "/ready", "port": "statistics"}}
    # On the port that clients use: some clouds' load balancers take their own health check from it.
    ready = {"httpGet": {"path": HEALTH_PATH, "port": "front-door", "scheme": scheme(options).upper()}}
    return {
        "name": "envoy",
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "ports": [
            {"name": "front-door", "containerPort": FRONT_DOOR_PORT},
            {"name": "statistics", "containerPort": STATISTICS_PORT},
        ],
        "resources": front_door_share(options).resources(),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {**ready, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": STARTUP_SECONDS},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "lifecycle": {
            "preStop": {"exec": {"command": ["bash", "-c", _drain_script(_endpoint_seconds(options), drain)]}}
        },
        "volumeMounts": _mounts(options),
    }


def _drain_script(endpoints: int, drain: int) -> str:
    """Wait until no new connection comes, and then for the last request: Envoy would cut it on SIGTERM.

    A health check that fails turns load balancers away, and makes Envoy part from each client with its next answer.
    Ten seconds without a request end the wait early.
    """
    counts = "/stats?filter=front_door.downstream_rq_[ac]"  # active and completed, health checks aside
    return rf"""
ask() {{
  exec 3<>/dev/tcp/127.0.0.1/{DRAIN_PORT} || return
  printf '%s %s HTTP/1.1\r\nHost: envoy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
  while read -r -t 5 line <&3 && [[ $line != 0$'\r' ]]; do [[ $line == *downstream_rq* ]] && echo "$line"; done
}}
ask POST /healthcheck/fail
sleep {endpoints}
ask POST '/drain_listeners?graceful'
quiet=0 before=
for ((second = 0; second < {drain} && quiet < {_QUIET_SECONDS}; second++)); do
  now=$(ask GET '{counts}')
  if [[ $now == "$before" && ! $now =~ active:\ [1-9] ]]; then quiet=$((quiet + 1)); else quiet=0; fi
  before=$now
  sleep 1
done"""


def _mounts(options: Options) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "configuration", "mountPath": CONFIGURATION_FOLDER, "readOnly": True},
        {"name": "admin", "mountPath": ADMIN_FOLDER},
    ]
    if options.opening.auth_enabled:
        mounts.append({"name": "keys", "mountPath": KEYS_FOLDER, "readOnly": True})
    if options.settings.tls is not None:
        mounts.append({"name": "certificate", "mountPath": CERTIFICATE_FOLDER, "readOnly": True})
    return mounts


def _configuration(names: Names) -> list[dict[str, Any]]:
    """Name the ConfigMaps of Envoy's files: during a canary those of `shares` take the place of the declared ones."""
    return [{"configMap": {"name": names.front_door}}, {"configMap": {"name": names.shares, "optional": True}}]


def _volumes(options: Options) -> list[dict[str, Any]]:
    names = Names.of(options)
    volumes: list[dict[str, Any]] = [
        {"name": "configuration", "projected": {"sources": _configuration(names)}},
        {"name": "admin", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    if options.opening.auth_enabled:
        only_envoys = [{"key": KEYS_FILE, "path": KEYS_FILE}]
        volumes.append(
            {"name": "keys", "secret": {"secretName": names.keys, "defaultMode": 0o440, "items": only_envoys}}
        )
    if options.settings.tls is not None:
        volumes.append({"name": "certificate", "secret": {"secretName": names.certificate, "defaultMode": 0o440}})
    return volumes
