"""A service's status: its state, its processes and its models, as they are at this moment."""

import datetime
import json
from collections.abc import Iterator

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from serving.probing.probe import problems
from targets.contract import Stack
from targets.errors import ServiceError
from targets.machine.candidate import shares
from targets.process import front_door, service
from targets.process.service_folder import Record, ServiceDirectory
from targets.process.supervisor import Supervisor
from targets.state import State, overall

__all__ = ["show"]


def show(stack: Stack, console: Console) -> int:
    """Print the status; gives 0 where the service is healthy and 1 where it is not.

    Raises `ServiceError` where it is not deployed here.
    """
    name = stack.settings.service_name
    directory = ServiceDirectory.of(stack.state_directory, name)
    record = directory.record()
    if record is None:
        raise ServiceError(f"service '{name}' is not deployed on this machine; make up does it")
    measured, door = service.measure(directory), front_door.measure(directory)
    state = overall(measured.state, door.state)
    console.print(f"{name}: {state}")
    for problem in (*measured.problems, *door.problems):
        console.print(f"  {problem}", markup=False)
    current, candidate = (found.number if found else None for found in (record.current, record.candidate))
    for line in shares(current, candidate, record.percent, directory.is_changing):
        console.print(f"  {line}", markup=False)
    console.print(_processes(directory, record))
    if record.current is not None and record.current.triton_http is not None and state is not State.STOPPED:
        console.print(_models(directory, record))
    return 0 if state is State.HEALTHY else 1


def _processes(directory: ServiceDirectory, record: Record) -> Table:
    table = Table("process", "state", "pid", "up since", "memory", "ports", box=box.SIMPLE_HEAD)
    ports: dict[str, list[int | None]] = {"envoy": [record.port, record.stats_port]}
    for found in (record.current, record.candidate):
        if found is not None:
            ports[f"triton-{found.number}"] = [found.triton_http, found.triton_grpc, found.triton_metrics]
            ports[f"scorer-{found.number}"] = [found.scorer]
            ports[f"recorder-{found.number}"] = [found.recorder]
    for name, process in sorted(Supervisor(directory).processes().items()):
        since, memory = _life(process.pid)
        shown = ", ".join(str(port) for port in ports.get(name, ()) if port)
        table.add_row(name, process.state, str(process.pid or "-"), since, memory, shown)
    return table


def _life(pid: int) -> tuple[str, str]:
    """When a process started, and the memory of its whole family in MB (resident, shared pages counted each time)."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        started = datetime.datetime.fromtimestamp(process.create_time())
        return f"{started:%Y-%m-%d %H:%M:%S}", f"{sum(p.memory_info().rss for p in family) / 1e6:.0f} MB"
    except (psutil.Error, ValueError):
        return "-", "-"


def _models(directory: ServiceDirectory, record: Record) -> Table:
    table = Table("model", "version", "ready", "golden inference", box=box.SIMPLE_HEAD)
    for row in _asked(directory, record):
        table.add_row(*row)
    return table


def _asked(directory: ServiceDirectory, record: Record) -> Iterator[tuple[str, str, str, str]]:
    assert record.current is not None
    wanted = json.loads((directory.generation(record.current.number) / "probe.json").read_bytes())["triton"]
    for model in wanted["models"]:
        found = problems({"triton": {**wanted, "models": [model]}, "scorer": None})
        ready = "; ".join(problem.text for problem in found) or "yes"
        yield model["name"], str(model["version"]), ready, "none" if model["golden"] is None else "asked"
