"""Why a container failed, as a person reads it: the probe's or its own last words, and how to see it by hand."""

import re
import shlex
from pathlib import Path

from targets.docker.containers import Container
from targets.docker.engine import Engine
from targets.role import Role

__all__ = ["by_hand", "explain"]

LOG_LINES = 30
# How Triton marks the lines of its log that are errors.
_TRITON_ERROR = re.compile(r"E\d{4} ")


def explain(engine: Engine, container: Container, problems: str, logs: Path) -> str:
    """Say why a container did not become ready; its whole log goes to a file in `logs`."""
    ended = engine.exit_of(container.name)
    log = engine.logs(container.name)
    logs.mkdir(parents=True, exist_ok=True)
    file = logs / f"{container.name}.log"
    file.write_text(log, encoding="utf-8")
    if ended is not None:
        problems = f"{container.name} {ended}"
    elif engine.ran_out_of_memory(container.name):
        killed = f"a process in {container.name} was killed for want of memory: raise deployment.memoryGb"
        problems = f"{problems}\n{killed}" if problems else killed
    lines = log.splitlines()
    if ended is None and container.role == Role.TRITON:
        # It runs, and its repository index has told the probe why a model did not load. The rest is in these lines.
        lines = [line for line in lines if _TRITON_ERROR.match(line)]
    if lines:
        problems += "\nthe end of its log:\n" + "\n".join(f"  {line}" for line in lines[-LOG_LINES:])
    return f"{problems}\nits whole log: {file}\nby hand: {by_hand(container)}"


def by_hand(container: Container) -> str:
    """Write the `docker run` that starts a container alone, to paste. Variables stay out: they may hold secrets."""
    body, host = container.body, container.body["HostConfig"]
    options = []
    if host.get("DeviceRequests"):
        options.append(f"--gpus={host['DeviceRequests'][0]['Count']}")
    if host.get("ShmSize"):
        options.append(f"--shm-size={host['ShmSize'] // 2**20}m")
    for mount in host.get("Mounts", ()):
        options.append(f"--mount=type=bind,source={mount['Source']},target={mount['Target']},readonly")
    for port, bindings in host.get("PortBindings", {}).items():
        options += [f"--publish={bound['HostIp']}:{bound['HostPort']}:{port.split('/')[0]}" for bound in bindings]
    return shlex.join(["docker", "run", "--rm", *options, body["Image"], *body["Entrypoint"], *body["Cmd"]])
