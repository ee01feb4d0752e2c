"""The containers of a generation, as the Docker Engine API's "create a container" takes them. Pure.

A generation is up to four containers that share one network namespace, as the containers of a Kubernetes pod do: one
that only holds it (what Kubernetes calls the pause container), Triton, the entry script server, which finds Triton on
localhost:8000, and the recorder. The namespace must not be Triton's own: a Triton that is restarted would come back in
a new one, and leave the scorer in the old.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment.image_layout import PROBE_SCORER, PROBE_TRITON, RECORDER_PORT
from serving.command import PROBE
from targets import commands
from targets.docker.specification import ServiceSpec
from targets.proving import PROVER
from targets.role import Role

__all__ = [
    "PLAN_FILE",
    "PROBES",
    "Container",
    "Labels",
    "digest_of",
    "generation",
    "hardened",
    "listening_command",
    "probe_command",
    "prover",
]

PREFIX = "triton-serving"
PLAN_FILE = "plan.json"
_PLAN = "/plan"  # where the prover's container has the folder of the plan
_MIB = 1024 * 1024
_LISTENS = """
import socket, sys, time
port, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while True:
    try:
        sys.exit(socket.create_connection(("127.0.0.1", port), 1).close())
    except OSError as error:
        if time.monotonic() > end:
            sys.exit(f"the recorder does not listen: {error}")
        time.sleep(0.1)
"""
_SECOND = 1_000_000_000  # the API's durations are in nanoseconds


class Labels:
    """The labels by which a service's containers are found."""

    SERVICE = f"{PREFIX}.service"
    OWNER = f"{PREFIX}.owner"
    ROLE = f"{PREFIX}.role"
    GENERATION = f"{PREFIX}.generation"
    DIGEST = f"{PREFIX}.digest"


# What must be ready before it serves, and the file in the image that its probe reads.
PROBES = {Role.TRITON: PROBE_TRITON, Role.SCORER: PROBE_SCORER}


@dataclass(frozen=True)
class Container:
    """A container to create: its name, its role and the API's body."""

    name: str
    role: Role
    body: dict[str, Any]


def generation(spec: ServiceSpec, number: int) -> list[Container]:
    """Render the containers of a generation in the order in which they start.

    They are created without a restart policy: one that dies before its probe passed must stay as it is, to be asked
    why. `Engine.keep_running` gives them theirs once they serve.
    """
    containers = _containers(spec, number)
    for container in containers:
        container.body["Labels"] = _labels(spec, number, container.role)
    return containers


def prover(spec: ServiceSpec, number: int, folder: Path, *, user: str) -> Container:
    """Render the container in which a generation is proved, with the plan in a file of `folder` that `user` owns.

    It is in the service's network, where it reaches both generations and Envoy. Its labels say that it belongs to the
    new generation: whoever removes what a killed rollout left removes it too. It has the scorer's variables, by which
    that reaches COLLECT_URL.
    """
    start = f"exec python {' '.join(PROVER)} < {_PLAN}/{PLAN_FILE}"
    body = _body(spec, ["sh", "-c", start], commands.scorer_variables(spec.told))
    body |= {
        "User": user,
        "StopSignal": "SIGKILL",
        "NetworkingConfig": {"EndpointsConfig": {spec.network: {}}},
        "Labels": _labels(spec, number, Role.PROVER),
    }
    mount = {"Type": "bind", "Source": str(folder), "Target": _PLAN, "ReadOnly": True}
    body["HostConfig"] |= _limits(spec, 1.0) | {"NetworkMode": spec.network, "Mounts": [mount]}
    return Container(f"{spec.service_name}-{number}-{Role.PROVER}", Role.PROVER, body)


def _labels(spec: ServiceSpec, number: int, role: Role) -> dict[str, str]:
    return {
        Labels.SERVICE: spec.service_name,
        Labels.OWNER: spec.owner,
        Labels.ROLE: role.value,
        Labels.GENERATION: str(number),
        Labels.DIGEST: digest_of(spec),
    }


def digest_of(spec: ServiceSpec) -> str:
    """SHA-256 of the containers that a service is made of: a rollout is due when it changes.

    It is of what is rendered, so that a service follows a new version of this project too.
    """
    bodies = [container.body for container in _containers(spec.essence, 0)]
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()


def _containers(spec: ServiceSpec, number: int) -> list[Container]:
    holder = f"{spec.service_name}-{number}-network"
    containers = [_network(spec, holder)]
    if spec.triton:
        containers.append(_triton(spec, f"{spec.service_name}-{number}-triton", holder))
    if spec.scorer:
        containers.append(_scorer(spec, f"{spec.service_name}-{number}-scorer", holder))
    if spec.has_recorder:
        containers.append(_recorder(spec, f"{spec.service_name}-{number}-recorder", holder))
    return containers


def _network(spec: ServiceSpec, name: str) -> Container:
    body = _body(spec, ["sleep", "infinity"])
    # `sleep` is process 1, which ignores signals that it does not handle.
    body |= {"StopSignal": "SIGKILL", "NetworkingConfig": {"EndpointsConfig": {spec.network: {}}}}
    body["HostConfig"] |= {"NetworkMode": spec.network, "Memory": 32 * _MIB, "MemorySwap": 32 * _MIB, "PidsLimit": 16}
    return Container(name, Role.NETWORK, body)


def _triton(spec: ServiceSpec, name: str, holder: str) -> Container:
    share = 1 - spec.scorer_share if spec.scorer else 1.0
    command = [*commands.keeper_command(), *commands.triton_command(spec.repositories, traces=spec.told.traces)]
    body = _body(spec, command, commands.triton_variables(spec.told), gpus=spec.resources.gpu_cores)
    body["HostConfig"] |= _limits(spec, share) | {"NetworkMode": f"container:{holder}"}
    # The Python backend passes tensors through shared memory, which counts as the container's memory.
    shared = spec.shared_memory_mb or max(64, round(spec.resources.memory_mb * share) // 4)
    body["HostConfig"]["ShmSize"] = shared * _MIB
    stop_seconds = commands.stop_seconds(commands.EXIT_TIMEOUT_SECONDS)
    body |= {"StopTimeout": stop_seconds, "Healthcheck": _health(Role.TRITON, spec)}
    return Container(name, Role.TRITON, body)


def _scorer(spec: ServiceSpec, name: str, holder: str) -> Container:
    share = spec.scorer_share if spec.triton else 1.0
    variables = commands.scorer_variables(spec.told, triton_probe=PROBE_TRITON if spec.triton else "")
    body = _body(spec, commands.scorer_command(), variables, gpus=0 if spec.triton else spec.resources.gpu_cores)
    body["HostConfig"] |= _limits(spec, share) | {"NetworkMode": f"container:{holder}"}
    stop_seconds = commands.stop_seconds(spec.rollout.graceful_seconds)
    body |= {"StopTimeout": stop_seconds, "Healthcheck": _health(Role.SCORER, spec)}
    return Container(name, Role.SCORER, body)


def _recorder(spec: ServiceSpec, name: str, holder: str) -> Container:
    command = commands.recorder_command(spec.recorded_megabytes or 0)
    body = _body(spec, command, commands.recorder_variables(spec.told))
    memory = commands.RECORDER_MEMORY_MB * _MIB
    limits = {"NanoCpus": 10**9, "Memory": memory, "MemorySwap": memory}
    body["HostConfig"] |= limits | {"NetworkMode": f"container:{holder}"}
    body["StopTimeout"] = commands.RECORDER_STOP_SECONDS
    return Container(name, Role.RECORDER, body)


def _body(
    spec: ServiceSpec, command: list[str], variables: Mapping[str, str] | None = None, *, gpus: int = 0
) -> dict[str, Any]:
    environment = commands.in_container(variables or {}, spec.told, gpus=gpus)
    return {
        "Image": spec.image,
        "Entrypoint": command[:1],
        "Cmd": command[1:],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "HostConfig": hardened() | _gpus(gpus),
    }


def hardened() -> dict[str, Any]:
    """Give the settings that deny a container what none needs, and that rotate its log at 30 MB.

    `/tmp` counts as the container's memory, which bounds it. Libraries may be loaded from there, as Triton does with
    the environment that a Python model brings along (`EXECUTION_ENV_PATH`), and Docker would forbid it.
    """
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777"},
        "PidsLimit": 4096,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "RestartPolicy": {"Name": "no"},
    }


def _limits(spec: ServiceSpec, share: float) -> dict[str, Any]:
    """Limit memory to a part of the service's, and CPU to all of it: a script that waits leaves it to Triton."""
    memory = round(spec.resources.memory_mb * share) * _MIB
    return {"NanoCpus": round(spec.resources.cpu_cores * 1e9), "Memory": memory, "MemorySwap": memory}


def _gpus(count: int) -> dict[str, Any]:
    """Ask for GPUs as `docker run --gpus COUNT` does."""
    request = {"Driver": "", "Count": count, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    return {"DeviceRequests": [request]} if count else {}


def listening_command(seconds: float) -> list[str]:
    """Give the command that waits so many seconds, in the recorder's container, until the recorder listens."""
    return ["python", "-c", _LISTENS, str(RECORDER_PORT), f"{seconds:.0f}"]


def probe_command(role: Role, *, wait: float = 0, timeout: float = 0) -> list[str]:
    """Give the command that asks, inside a container of this role, whether it is ready.

    It waits so many seconds for it; a golden answer may take `timeout`.
    """
    waits = ["--wait", f"{wait:.0f}"] if wait else []
    return ["python", *PROBE, PROBES[role], *waits, *(["--timeout", f"{timeout:g}"] if timeout else [])]


def _health(role: Role, spec: ServiceSpec) -> dict[str, Any]:
    return {
        "Test": ["CMD", *probe_command(role)],
        "Interval": 30 * _SECOND,
        "Timeout": 60 * _SECOND,
        "StartPeriod": spec.rollout.deadline_seconds * _SECOND,
        "Retries": 3,
    }
