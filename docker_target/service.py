"""A service of the `docker` target as a whole: measured, and removed."""

from pathlib import Path

from docker_target.containers import PROBES, Role, probe_command
from docker_target.engine import Engine, Found
from docker_target.record import Folder
from machine.service import Measured, ServiceError

__all__ = ["door_problems", "measure", "remove"]

PROBE_SECONDS = 60


def measure(state_directory: Path, service_name: str) -> Measured:
    """Ask a service's containers, its models and its golden inferences how they are."""
    try:
        record = Folder.of(state_directory, service_name).record()
        with Engine() as engine:
            serving = [c for c in engine.containers(service_name) if (c.owner, c.generation) == record.serving]
            if not any(container.running for container in serving):
                return Measured("Stopped", ("no container of it runs; `make up` starts the service again",))
            problems = tuple(_problems(engine, serving))
    except ServiceError as error:
        return Measured("Unhealthy", (str(error),))
    return Measured("Unhealthy" if problems else "Healthy", problems)


def _problems(engine: Engine, serving: list[Found]) -> list[str]:
    holder = next((c for c in serving if c.role == Role.NETWORK), None)
    problems = [] if holder else ["the container that holds its network is gone"]
    for container in serving:
        if not container.running:
            problems.append(f"{container.name} {engine.exit_of(container.name) or 'does not run'}")
        elif holder and container.started < holder.started:
            problems.append(f"{container.name} is cut off: its network was started again after it")
        elif container.role in PROBES:
            code, said = engine.run(container.name, probe_command(container.role), PROBE_SECONDS)
            problems += said.splitlines() or ["its probe failed"] if code else []
    return problems


def door_problems(engine: Engine, service_name: str) -> list[str]:
    """What is wrong with a service's front door. It is no part of `measure`: it opens once the service is healthy."""
    doors = [container for container in engine.containers(service_name) if container.role == Role.FRONT_DOOR]
    return [f"{door.name} {engine.exit_of(door.name)}" for door in doors if not door.running]


def remove(state_directory: Path, service_name: str, owner: str) -> None:
    """Stop and remove a service's containers and its folder; what another stack took over is left alone."""
    folder = Folder.of(state_directory, service_name)
    with folder.locked(), Engine() as engine:
        own = [container for container in engine.containers(service_name) if container.owner == owner]
        for container in sorted(own, key=lambda c: c.stop_rank):
            engine.remove(container.name)
        folder.remove()
