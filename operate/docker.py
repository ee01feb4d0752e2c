"""What status, logs and check do on target `docker`."""

import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bundle.probe import declared_versions
from bundle.registry import Registered, Registry
from components.providers.environment_venv import declared_environment
from operate.check import verdict
from settings import Settings
from settings.model_rules import layout_of, registry_url
from settings.schema import Framework, Model, RegisteredModelId
from targets.docker import check, front_door, logs, service
from targets.docker.engine import Engine
from targets.docker.spec import ServiceSpec
from targets.machine.service import ServiceError
from targets.state import State, overall

__all__ = ["run"]


def run(verb: str, console: Console, settings: Settings, project: Path, *, follow: bool) -> int:
    """Run a verb; gives an exit code."""
    if verb == "status":
        return _show_status(console, settings, project)
    if verb == "logs":
        return _show_logs(settings, follow=follow)
    return _run_check(console, settings, project)


def _show_status(console: Console, settings: Settings, project: Path) -> int:
    """Print the status; gives 0 where the service is healthy and 1 where it is not.

    Raises `ServiceError` where the engine runs no such service.
    """
    where = (project / settings.state_directory).resolve(), settings.service_name
    with Engine() as engine:
        containers = engine.containers(settings.service_name)
    if not containers:
        raise ServiceError(
            f"service '{settings.service_name}' is not deployed on this machine's Docker engine; make up does it"
        )
    measured, door = service.measure(*where), front_door.measure(*where)
    state = overall(measured.state, door.state)
    console.print(f"{settings.service_name}: {state}")
    for problem in (*measured.problems, *door.problems):
        console.print(f"  {problem}", markup=False)
    table = Table("container", "state", "up since", "ports", box=box.SIMPLE_HEAD)
    for container in sorted(containers, key=lambda c: c.name):
        since = container.started[:19].replace("T", " ") if container.running else "-"
        table.add_row(container.name, container.state, since, ", ".join(map(str, container.ports)))
    console.print(table)
    return 0 if state is State.HEALTHY else 1


def _show_logs(settings: Settings, *, follow: bool) -> int:
    """Show the logs of what runs, each under its name; gives an exit code."""
    logs.show(settings.service_name, sys.stdout.write, follow=follow)
    return 0


def _run_check(console: Console, settings: Settings, project: Path) -> int:
    """Serve and probe the stack's models on the base image; gives an exit code. The entry script is not part of it.

    Raises what `up` would raise: `LayoutError`, `ServiceError` with Triton's words.
    """
    declared, deployment = settings.environment, settings.deployment
    environment = declared_environment(declared.name, declared.clone, declared.pip_packages)
    state_directory = (project / settings.state_directory).resolve()
    state_directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="check-", dir=state_directory) as folder:
        scratch = Registry(str(Path(folder) / "registry"))
        tried = [m for m in settings.models if isinstance(m, RegisteredModelId) or m.framework is Framework.MULTI]
        found = [_registered(model, settings, project, scratch) for model in tried]
        by_triton = [(held, files) for held, files in found if held.framework == Framework.MULTI.value]
        if not by_triton:
            raise ServiceError("no model is served by Triton: there is nothing to check before `make up`")
        trial = check.Trial(
            image=settings.image.base_image or environment.curated.image.reference,
            repositories=[files / "triton" for _, files in by_triton],
            models=[model for held, _ in by_triton for model in declared_versions(held)],
            spec=ServiceSpec(
                service_name=f"{settings.service_name}-check",
                owner="check",
                state_directory=Path(folder),
                network="",
                image="",
                bundles=(),
                max_request_megabytes=deployment.max_request_megabytes,
                variables={**environment.variables, **declared.variables},
                gpu_cores=deployment.gpu_cores,
                cpu_cores=deployment.cpu_cores,
                memory_mb=deployment.memory_mb,
                shared_memory_mb=settings.docker.shm_mb,
                deadline_seconds=deployment.rollout.deadline_seconds,
            ),
            logs=state_directory / "docker" / "check",
        )

        def say(line: str) -> None:
            console.print(line, markup=False, soft_wrap=True)

        for line in verdict([held for held, _ in by_triton], check.run(trial, say)):
            say(line)
    return 0


def _registered(
    model: Model | RegisteredModelId, settings: Settings, project: Path, scratch: Registry
) -> tuple[Registered, Path]:
    """A bundle and the folder of its files: a folder goes through a registry that is thrown away."""
    if isinstance(model, Model):
        checked = layout_of(settings, project / model.path)
        registered = scratch.register(model.name, checked, framework=model.framework.value)
        as_it_lies = all((f.source, f.content) == (checked.root / f.path, None) for f in checked.files)
        return registered, checked.root if as_it_lies else scratch.local_path(registered)
    registry = Registry(registry_url(settings, project))
    registered = registry.get(model.name, model.version)
    return registered, registry.local_path(registered)
