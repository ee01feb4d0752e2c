"""A service of the `process` target as a whole: measured, and removed."""

from pathlib import Path

from targets.process.generation_probe import GenerationProbe
from targets.process.service_folder import Generation, ServiceDirectory
from targets.process.supervisor import Supervisor
from targets.state import Measured, State

__all__ = ["measure", "remove"]


def measure(directory: ServiceDirectory) -> Measured:
    """Ask a service's processes, its models and its golden inferences how they are; not its front door.

    That one opens once these are healthy: see `targets.process.front_door.measure`.
    """
    record = directory.record()
    if record is None or record.current is None:
        return Measured(State.STOPPED, ("no service of that name runs here",))
    if not directory.generation(record.current.number).is_dir():
        return Measured(
            State.STOPPED, (f"the files of its generation {record.current.number} are gone; `make up` makes another",)
        )
    supervisor = Supervisor(directory)
    if not supervisor.is_running():
        return Measured(State.STOPPED, ("its supervisor does not run or answer; `make up` starts the service again",))
    problems = _problems(directory, supervisor, record.current)
    if record.candidate is not None:
        called = f"generation {record.candidate.number}, which gets {record.percent or 0} % of the traffic"
        problems += [f"{called}: {problem}" for problem in _problems(directory, supervisor, record.candidate)]
    return Measured.of(problems)


def _problems(directory: ServiceDirectory, supervisor: Supervisor, generation: Generation) -> list[str]:
    processes = supervisor.processes()
    down = [
        f"{name} is {processes[name].state if name in processes else 'missing'}"
        for name in generation.programs
        if name not in processes or processes[name].state not in ("STARTING", "RUNNING")
    ]
    if down:
        return down
    probe = GenerationProbe(supervisor, generation, directory, log=lambda name: directory.logs / f"{name}.log")
    return [problem.text for problem in probe.problems()]


def remove(state_directory: Path, service_name: str, owner: str) -> None:
    """Stop a service's processes and remove its folder; what another stack took over is left alone.

    Nothing happens where there is none. Raises `ServiceError` that names what does not end.
    """
    directory = ServiceDirectory.of(state_directory, service_name)
    if not directory.root.is_dir():
        Supervisor(directory, owner).stop()  # what a deleted folder left running
        return
    with directory.locked():
        if directory.is_taken_from(owner):
            return
        Supervisor(directory, owner).stop()
        directory.remove()
