"""A service's status on target `docker`: its state and its containers, as they are at this moment."""

from rich import box
from rich.console import Console
from rich.table import Table

from targets.contract import Stack
from targets.docker import front_door, service
from targets.docker.engine import Engine
from targets.docker.service_folder import Folder
from targets.errors import ServiceError
from targets.machine.candidate import shares
from targets.state import State, overall

__all__ = ["show"]


def show(stack: Stack, console: Console) -> int:
    """Print the status; gives 0 where the service is healthy and 1 where it is not.

    Raises `ServiceError` where the engine runs no such service.
    """
    name = stack.settings.service_name
    where = stack.state_directory, name
    with Engine() as engine:
        containers = engine.containers(name)
    if not containers:
        raise ServiceError(f"service '{name}' is not deployed on this machine's Docker engine; make up does it")
    measured, door = service.measure(*where), front_door.measure(*where)
    state = overall(measured.state, door.state)
    console.print(f"{name}: {state}")
    for problem in (*measured.problems, *door.problems):
        console.print(f"  {problem}", markup=False)
    folder = Folder.of(*where)
    record = folder.record()
    for line in shares(record.generation, record.candidate, record.percent, folder.is_changing):
        console.print(f"  {line}", markup=False)
    table = Table("container", "state", "up since", "ports", box=box.SIMPLE_HEAD)
    for container in sorted(containers, key=lambda c: c.name):
        since = container.started[:19].replace("T", " ") if container.running else "-"
        table.add_row(container.name, container.state, since, ", ".join(map(str, container.ports)))
    console.print(table)
    return 0 if state is State.HEALTHY else 1
