"""The check of models before they are registered, as Azure's document did it by hand.

The base image runs as it is, the models' folders mounted: `docker run ... tritonserver --model-repository /models`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.waiting import wait_until
from environment.image_layout import TRITON_GRPC_PORT, TRITON_HTTP_PORT, TRITON_METRICS_PORT
from serving.probing import probe
from serving.probing.golden_check import Problem
from targets import commands
from targets.docker.containers import Container, generation
from targets.docker.engine import Engine
from targets.docker.failure import by_hand, explain
from targets.docker.specification import ServiceSpec
from targets.errors import ServiceError
from targets.machine.ports import free_ports
from targets.role import Role

__all__ = ["Trial", "run"]

POLL_SECONDS = 0.25
_PORTS = (TRITON_HTTP_PORT, TRITON_GRPC_PORT, TRITON_METRICS_PORT)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is tried: models (in the form of `serving.probing.probe`) in `repositories` of this machine, on an image.

    `logs` is a folder for the log of a Triton that failed.
    """

    image: str
    repositories: Sequence[Path]
    models: Sequence[Mapping[str, Any]]
    spec: ServiceSpec
    logs: Path


def run(trial: Trial, progress: Callable[[str], object]) -> float:
    """Serve the models, probe them, show where health and metrics answer, and stop; gives the seconds until ready.

    Raises `ServiceError` with Triton's reason, the exit code and the command that shows it by hand.
    """
    with Engine() as engine, ExitStack() as at_exit:
        engine.check_gpus(trial.spec.resources)
        engine.pull(trial.image)
        ports = free_ports(len(_PORTS), preferred=_PORTS)
        container = _container(trial, ports, engine.user())
        progress(f"by hand: {by_hand(container)}")
        at_exit.callback(engine.remove, container.name)
        started = time.monotonic()
        engine.start(container)
        _await_ready(engine, container, trial, ports[0])
        seconds = time.monotonic() - started
        for path, port in (("/v2/health/ready", ports[0]), ("/metrics", ports[2])):
            status, _ = probe.request(f"http://127.0.0.1:{port}{path}", timeout=5)
            progress(f"curl http://localhost:{port}{path}: {status}")
        return seconds


def _container(trial: Trial, ports: Sequence[int], user: str) -> Container:
    """Triton's container of a generation, with the models mounted and its ports on loopback."""
    targets = ["/models", *(f"/models-{number}" for number in range(2, len(trial.repositories) + 1))]
    spec = trial.spec.model_copy(update={"image": trial.image, "repositories": tuple(targets)})
    container = next(c for c in generation(spec, 0) if c.role is Role.TRITON)
    body = {key: value for key, value in container.body.items() if key != "Healthcheck"}
    command = commands.triton_command(spec.repositories)  # without its keeper, which the base image does not have
    body |= {"Entrypoint": command[:1], "Cmd": command[1:]}
    mounts = [
        {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True}
        for source, target in zip(trial.repositories, targets, strict=True)
    ]
    bindings = {
        f"{inside}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
        for inside, port in zip(_PORTS, ports, strict=True)
    }
    body["HostConfig"] |= {"NetworkMode": "bridge", "Mounts": mounts, "PortBindings": bindings}
    body["ExposedPorts"] = {port: {} for port in bindings}
    body["User"] = user  # whose files the models are
    return replace(container, body=body)


def _await_ready(engine: Engine, container: Container, trial: Trial, port: int) -> None:
    wanted = {"triton": {"url": f"http://127.0.0.1:{port}", "models": trial.models}, "scorer": None}
    problems: list[Problem] = []

    def decided() -> bool:
        problems[:] = probe.problems(wanted)
        hopeless = any(problem.final for problem in problems) or engine.exit_of(container.name) is not None
        return not problems or hopeless

    seconds = trial.spec.rollout.deadline_seconds
    in_time = wait_until(decided, seconds=seconds, every=POLL_SECONDS)
    if problems:
        text = "" if in_time else f"not ready within {seconds} s:\n"
        text += "\n".join(problem.text for problem in problems)
        raise ServiceError(explain(engine, container, text, trial.logs))
