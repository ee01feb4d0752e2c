"""The containers of a replica: Triton, the entry script's server that finds it on localhost:8000, and the recorder."""

from typing import Any

from environment.image_layout import (
    PROBE_TRITON,
    RECORDER_PORT,
    SCORER_PORT,
    TRITON_GRPC_PORT,
    TRITON_HTTP_PORT,
    TRITON_METRICS_PORT,
)
from serving.flags import BAD_ARGUMENTS
from targets import commands
from targets.node_pool.lifecycle import Times, scorer_probes, triton_probes
from targets.node_pool.objects.resources import (
    Share,
    downloads_gb,
    mebibytes,
    recorder_share,
    replica_memory_mb,
    scorer_share,
    shared_memory_mb,
    triton_share,
)
from targets.node_pool.objects.security import container_security
from targets.node_pool.rendering import Options
from targets.role import Role

__all__ = ["replica_containers", "replica_volumes"]

_SHM = "shared-memory"
_SCRATCH = "scratch"
_CREDENTIALS = "credentials"
_CREDENTIALS_FOLDER = "/etc/credentials"
# Starts its arguments, and again a second after they end; SIGTERM goes to them, and their end is awaited. Where they
# cannot use their settings (status 1 of the first start), it ends, and so the rollout fails.
_KEEP_RUNNING = f"""
trap 'kill -TERM $!; wait $!; exit 0' TERM
"$@" & wait $!
[ $? -ne {BAD_ARGUMENTS} ] || exit {BAD_ARGUMENTS}
while :; do
    sleep 1 & wait $!
    "$@" & wait $!
done
"""


def replica_containers(options: Options) -> dict[str, Any]:
    """Render the `containers`, and the `initContainers`, of a replica's pod.

    Beside a scorer, Triton is a sidecar in Kubernetes' sense, an init container that keeps running: the scorer starts
    once Triton passed its gate, so a script's init() may call it, and stops before Triton does, so no request under way
    loses its models. The recorder is a sidecar too, without a probe. Because a pod is ready only while its sidecars
    run, the recorder's container does not end with the recorder: a replica serves whether or not that is well.
    """
    sidecars = [_recorder(options)] if options.recorded_megabytes is not None else []
    main = _scorer(options) if options.scorer else _triton(options)
    if options.scorer and options.triton:
        sidecars.append({**_triton(options), "restartPolicy": "Always"})
    return {**({"initContainers": sidecars} if sidecars else {}), "containers": [main]}


def replica_volumes(options: Options) -> list[dict[str, Any]]:
    """Render the volumes that a replica writes to: shared memory, and a folder that dies with the pod.

    That folder holds as much as the replica's memory, and what Triton downloads. Credentials are read-only.
    """
    scratch = replica_memory_mb(options) + 1024 * downloads_gb(options)
    volumes: list[dict[str, Any]] = [{"name": _SCRATCH, "emptyDir": {"sizeLimit": mebibytes(scratch)}}]
    if options.triton:
        size = mebibytes(shared_memory_mb(options))
        volumes.append({"name": _SHM, "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    if options.pool.credentials_secret:
        secret = {"secretName": options.pool.credentials_secret, "defaultMode": 0o440}
        volumes.append({"name": _CREDENTIALS, "secret": secret})
    return volumes


def _triton(options: Options) -> dict[str, Any]:
    times = Times.of(options)
    service = _told(options, triton_share(options))
    container = _container(options, Role.TRITON, triton_share(options), commands.triton_variables(service))
    container["command"] = commands.keeper_command()
    # No gateway has drained it: it waits for as long as requests may take.
    container["args"] = commands.triton_command(
        options.contents.repositories, exit_timeout=times.triton_exit, traces=service.traces
    )
    container["ports"] = [
        {"name": "http", "containerPort": TRITON_HTTP_PORT},
        {"name": "grpc", "containerPort": TRITON_GRPC_PORT},
        {"name": "metrics", "containerPort": TRITON_METRICS_PORT},
    ]
    container["volumeMounts"] = [*container["volumeMounts"], {"name": _SHM, "mountPath": "/dev/shm"}]
    if not options.scorer:
        container["lifecycle"] = times.pre_stop_hook
    return {**container, **triton_probes(times)}


def _scorer(options: Options) -> dict[str, Any]:
    times, service = Times.of(options), _told(options, scorer_share(options))
    variables = commands.scorer_variables(service, triton_probe=PROBE_TRITON if options.triton else "")
    container = _container(options, Role.SCORER, scorer_share(options), variables)
    *container["command"], host, port = commands.scorer_command()
    container["args"] = [host, port]
    container["ports"] = [{"name": "score", "containerPort": SCORER_PORT}]
    container["lifecycle"] = times.pre_stop_hook
    return {**container, **scorer_probes(times)}


def _recorder(options: Options) -> dict[str, Any]:
    share = recorder_share(options)
    container = _container(options, Role.RECORDER, share, commands.recorder_variables(_told(options, share)))
    command = commands.recorder_command(options.recorded_megabytes or 0)
    container["command"] = ["sh", "-c", _KEEP_RUNNING, Role.RECORDER.value, *command]
    container["ports"] = [{"name": "record", "containerPort": RECORDER_PORT}]
    return {**container, "restartPolicy": "Always"}


def _told(options: Options, share: Share) -> commands.Service:
    """Describe the service to the program of a container with this share."""
    return commands.Service(
        name=options.settings.service_name,
        threads=share.threads,
        limits=options.limits,
        rollout=options.rollout,
        variables=options.settings.environment.variables,
    )


def _container(options: Options, role: Role, share: Share, variables: dict[str, str]) -> dict[str, Any]:
    secret = options.pool.credentials_secret
    mounts: list[dict[str, Any]] = [{"name": _SCRATCH, "mountPath": "/tmp"}]
    if secret:
        mounts.append({"name": _CREDENTIALS, "mountPath": _CREDENTIALS_FOLDER, "readOnly": True})
        if options.settings.registry.startswith("gs://"):
            # Google's libraries want a file, the others variables.
            variables = {"GOOGLE_APPLICATION_CREDENTIALS": f"{_CREDENTIALS_FOLDER}/credentials.json", **variables}
    # The user's keep their place before the computed ones: pods of another order would be new pods.
    variables = {**options.settings.environment.variables, **variables}
    environment = commands.in_container(variables, _told(options, share), gpus=share.gpus)
    return {
        "name": role.value,
        "image": options.contents.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        **({"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}),
        "resources": share.resources(),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
