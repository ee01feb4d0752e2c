"""The check of a stack's models on target `docker`: the base image serves them as they lie, unregistered."""

import tempfile
from pathlib import Path

from rich.console import Console

from bundle.probe_questions import declared_versions
from bundle.registry import Registered, Registry
from environment.curated_clone import declared_environment
from settings.model_runtime import layout_of
from settings.requirements_file import pip_packages
from settings.schema import Framework, Model, RegisteredModelId, Settings
from targets.check_summary import verdict
from targets.contract import Stack
from targets.docker import trial
from targets.docker.machine_target import TARGET
from targets.docker.specification import ServiceSpec
from targets.errors import ServiceError

__all__ = ["run"]


def run(stack: Stack, console: Console) -> int:
    """Serve and probe the stack's models on the base image; gives an exit code. The entry script is not part of it.

    Raises what `up` would raise: `LayoutError`, `ServiceError` with Triton's words.
    """
    settings, state_directory = stack.settings, stack.state_directory
    declared = settings.environment
    environment = declared_environment(declared.name, declared.clone, pip_packages(declared))
    state_directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="check-", dir=state_directory) as folder:
        scratch = Registry(str(Path(folder) / "registry"))
        tried = [m for m in settings.models if isinstance(m, RegisteredModelId) or m.framework is Framework.MULTI]
        found = [_registered(model, settings, scratch) for model in tried]
        by_triton = [(held, files) for held, files in found if held.framework == Framework.MULTI.value]
        if not by_triton:
            raise ServiceError("no model is served by Triton: there is nothing to check before `make up`")
        own = {
            "service_name": f"{settings.service_name}-check",
            "owner": "check",
            "state_directory": folder,
            "scorer": False,
            "network": "",
            "image": "",
            "bundles": (),
            "variables": {**environment.variables, **declared.variables},
        }
        tried_on = trial.Trial(
            image=settings.image.base_image or environment.curated.image.reference,
            repositories=[files / "triton" for _, files in by_triton],
            models=[model for held, _ in by_triton for model in declared_versions(held)],
            spec=ServiceSpec.model_validate({**TARGET.declared_service(settings), **own}),
            logs=state_directory / "docker" / "check",
        )

        def say(line: str) -> None:
            console.print(line, markup=False, soft_wrap=True)

        for line in verdict([held for held, _ in by_triton], trial.run(tried_on, say)):
            say(line)
    return 0


def _registered(model: Model | RegisteredModelId, settings: Settings, scratch: Registry) -> tuple[Registered, Path]:
    """A bundle and the folder of its files: a folder goes through a registry that is thrown away."""
    if isinstance(model, Model):
        checked = layout_of(settings, Path(model.path))
        registered = scratch.register(model.name, checked, framework=model.framework.value)
        as_it_lies = all((f.source, f.content) == (checked.root / f.path, None) for f in checked.files)
        return registered, checked.root if as_it_lies else scratch.local_path(registered)
    registry = Registry(settings.registry)
    registered = registry.get(model.name, model.version)
    return registered, registry.local_path(registered)
