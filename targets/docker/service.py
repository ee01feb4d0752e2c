"""A service of the `docker` target as a whole: measured, and removed."""

from pathlib import Path

from targets.docker.containers import PROBES, probe_command
from targets.docker.engine import Engine, Found
from targets.docker.owner import stack_and_place
from targets.docker.service_folder import Folder
from targets.errors import ServiceError
from targets.role import Role
from targets.state import Measured, State

__all__ = ["measure", "remove"]

PROBE_SECONDS = 60


def measure(state_directory: Path, service_name: str) -> Measured:
    """Ask a service's containers, its models and its golden inferences how they are; not its front door.

    That one opens once these are healthy: see `targets.docker.front_door.measure`.
    """
    try:
        record = Folder.of(state_directory, service_name).record()
        with Engine() as engine:
            found = engine.containers(service_name, record.owner)
            serving = [c for c in found if (c.owner, c.generation) == record.serving]
            if not any(container.running for container in serving):
                return Measured(State.STOPPED, ("no container of it runs; `make up` starts the service again",))
            problems = _problems(engine, serving)
            if record.candidate:
                called = f"generation {record.candidate}, which gets {record.percent or 0} % of the traffic"
                own = [c for c in found if (c.owner, c.generation) == (record.owner, record.candidate)]
                problems += [f"{called}: {problem}" for problem in _problems(engine, own)]
            return Measured.of(problems)
    except ServiceError as error:
        return Measured(State.UNHEALTHY, (str(error),))


def _problems(engine: Engine, serving: list[Found]) -> list[str]:
    holder = next((c for c in serving if c.role == Role.NETWORK), None)
    problems = [] if holder else ["the container that holds its network is gone"]
    for container in serving:
        if not container.running:
            problems.append(f"{container.name} {engine.exit_of(container.name) or 'does not run'}")
        elif holder and container.started < holder.started:
            problems.append(f"{container.name} is cut off: its network was started again after it")
        elif container.role is not None and container.role in PROBES:
            code, said = engine.run(container.name, probe_command(container.role), PROBE_SECONDS)
            problems += said.splitlines() or ["its probe failed"] if code else []
    return problems


def remove(state_directory: Path, service_name: str, owner: str) -> None:
    """Stop and remove a service's containers and its folder; what another stack took over is left alone.

    Raises `ServiceError` where the folder is the copy of another one, whose containers the record names.
    """
    folder = Folder.of(state_directory, service_name)
    (stack, here), (_, recorded) = stack_and_place(owner), stack_and_place(folder.record().owner)
    if recorded and recorded != here:
        raise ServiceError(
            f"{folder.root} was copied from {recorded}, and what this stack's state names runs for that one; to forget "
            f"the state here: python -m engine stack rm {stack.rpartition('/')[2]} --force --yes --preserve-config"
        )
    with folder.locked(), Engine() as engine:
        own = [container for container in engine.containers(service_name, owner) if container.owner == owner]
        for container in sorted(own, key=lambda c: c.stop_rank):
            engine.remove(container.name)
        if folder.record().owner in ("", owner):
            folder.remove()
