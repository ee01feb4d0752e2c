"""The containers of a replica: Triton, and the entry script's server that finds it on localhost:8000."""

from typing import Any

from environment.image_layout import (
    PROBE_TRITON,
    SCORER_PORT,
    TRITON_GRPC_PORT,
    TRITON_HTTP_PORT,
    TRITON_METRICS_PORT,
)
from serving.command import KEEPER, RELOADABLE, SERVER
from targets.node_pool.lifecycle import Times, scorer_probes, triton_probes
from targets.node_pool.objects.resources import (
    Share,
    downloads_gb,
    mebibytes,
    replica_memory_mb,
    scorer_share,
    shared_memory_mb,
    triton_share,
)
from targets.node_pool.objects.security import container_security
from targets.node_pool.rendering import Options

__all__ = ["replica_containers", "replica_volumes"]

_SHM = "shared-memory"
_SCRATCH = "scratch"
_CREDENTIALS = "credentials"
_CREDENTIALS_FOLDER = "/etc/credentials"


def replica_containers(options: Options) -> dict[str, Any]:
    """The `containers`, and the `initContainers`, of a replica's pod.

    Beside a scorer, Triton is a sidecar in Kubernetes' sense, an init container that keeps running: the scorer starts
    once Triton passed its gate, so a script's init() may call it, and stops before Triton does, so no request under way
    loses its models.
    """
    if not options.scorer:
        return {"containers": [_triton(options)]}
    if not options.triton:
        return {"containers": [_scorer(options)]}
    return {"initContainers": [{**_triton(options), "restartPolicy": "Always"}], "containers": [_scorer(options)]}


def replica_volumes(options: Options) -> list[dict[str, Any]]:
    """What a replica writes to: shared memory in memory, everything else in a folder that dies with the pod.

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
    container = _container(options, "triton", triton_share(options))
    container["command"] = ["python", *KEEPER, f"--triton=http://127.0.0.1:{TRITON_HTTP_PORT}", "--"]
    container["args"] = [
        "tritonserver",
        *(word for repository in options.contents.repositories for word in ("--model-repository", repository)),
        f"--http-port={TRITON_HTTP_PORT}",
        f"--grpc-port={TRITON_GRPC_PORT}",
        f"--metrics-port={TRITON_METRICS_PORT}",
        # It stays up when a model does not load, so that the probe can say why.
        "--exit-on-error=false",
        f"--exit-timeout-secs={times.triton_exit}",
        *RELOADABLE,
    ]
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
    times, settings = Times.of(options), options.settings
    container = _container(options, "scorer", scorer_share(options))
    container["command"] = ["python", *SERVER]
    container["args"] = ["--host=0.0.0.0", f"--port={SCORER_PORT}"]
    container["env"] = _merged(
        container["env"],
        {
            "SERVICE_NAME": settings.service_name,
            "SCORING_TIMEOUT_MS": str(settings.deployment.scoring_timeout_ms),
            "MAX_REQUEST_BYTES": str(settings.deployment.max_request_megabytes * 1024 * 1024),
            "GRACEFUL_TIMEOUT": str(times.drain),
            **({"TRITON_PROBE_FILE": PROBE_TRITON} if options.triton else {}),
        },
        settings.environment.variables,
    )
    container["ports"] = [{"name": "score", "containerPort": SCORER_PORT}]
    container["lifecycle"] = times.pre_stop_hook
    return {**container, **scorer_probes(times)}


def _container(options: Options, name: str, share: Share) -> dict[str, Any]:
    variables = {
        "HOME": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Libraries that count cores see the node's, not the container's.
        "OMP_NUM_THREADS": str(max(1, int(share.cpu_limit))),
    }
    if not share.gpus:
        # NVIDIA's images ask its runtime for every GPU of the node unless told otherwise.
        variables["NVIDIA_VISIBLE_DEVICES"] = "void"
    secret = options.pool.credentials_secret
    mounts: list[dict[str, Any]] = [{"name": _SCRATCH, "mountPath": "/tmp"}]
    if secret:
        mounts.append({"name": _CREDENTIALS, "mountPath": _CREDENTIALS_FOLDER, "readOnly": True})
        if options.settings.registry.startswith("gs://"):
            # Google's libraries want a file, the others variables.
            variables["GOOGLE_APPLICATION_CREDENTIALS"] = f"{_CREDENTIALS_FOLDER}/credentials.json"
    return {
        "name": name,
        "image": options.contents.image,
        "imagePullPolicy": "IfNotPresent",
        "env": _merged([], variables, options.settings.environment.variables),
        **({"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}),
        "resources": share.resources(),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _merged(environment: list[dict[str, str]], *layers: dict[str, str]) -> list[dict[str, str]]:
    """Variables as a container lists them, a later layer's over an earlier one's."""
    merged = {variable["name"]: variable["value"] for variable in environment}
    for layer in layers:
        merged |= layer
    return [{"name": name, "value": value} for name, value in merged.items()]
