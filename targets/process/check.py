"""The check of a stack's models before they are registered: serve them as `up` would, probe them, stop.

What Azure's document did by hand with `docker run` of Triton and curl. Everything happens in a folder of its own: a
registry that is thrown away, and a service that has no front door.
"""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bundle.registry import Registered, Registry
from environment import venv
from environment.curated_clone import declared_environment
from settings.model_runtime import layout_of
from settings.requirements_file import pip_packages
from settings.schema import Framework, Model, RegisteredModelId, Settings
from settings.variable_names import served_variables
from targets.check_summary import verdict
from targets.contract import Stack
from targets.declared_script import source_notes
from targets.process import rollout
from targets.process.machine_target import TARGET
from targets.process.specification import ServiceSpec
from targets.process.trial_folder import SERVICE, trial_folder
from targets.served import ServedBundle

__all__ = ["run"]


def run(stack: Stack, console: Console) -> int:
    """Serve and probe the stack's models and script; gives an exit code.

    Raises what `up` would raise: `LayoutError`, `ResolutionError`, `ServiceError` with Triton's or the script's words.
    """

    def say(line: str) -> None:
        console.print(line, markup=False)

    settings, state_directory = stack.settings, stack.state_directory
    with trial_folder(state_directory) as folder:
        found = [_registered(model, settings, folder / "registry", say) for model in settings.models]
        bundles = [_bundle(registry, registered) for registry, registered in found]
        environment = declared_environment(
            settings.environment.name, settings.environment.clone, pip_packages(settings.environment)
        ).with_variables(served_variables(settings))
        built = venv.build(
            environment,
            root=state_directory / "environments",
            triton=any(bundle.framework == Framework.MULTI.value for bundle in bundles),
            gpu=settings.deployment.has_gpu,
            progress=say,
        )
        for note in source_notes(settings):
            say(note)
        own = {
            "service_name": SERVICE,
            "owner": SERVICE,
            "overwrite": True,
            "state_directory": folder,
            "bundles": bundles,
            "environment_path": built.path,
            "environment_digest": built.digest,
            "variables": environment.variables,
        }
        spec = ServiceSpec.model_validate({**TARGET.declared_service(settings), **own})
        without_gates = spec.rollout.model_copy(update={"replay": None, "performance": None})
        spec = spec.model_copy(update={"rollout": without_gates})  # they judge what is to get traffic
        started = time.monotonic()
        rollout.apply(spec, say)
        seconds = time.monotonic() - started
        for line in verdict([registered for _, registered in found], seconds, spec.entry_script):
            say(line)
    return 0


def _registered(
    model: Model | RegisteredModelId, settings: Settings, scratch: Path, say: Callable[[str], None]
) -> tuple[Registry, Registered]:
    """Find a bundle and its registry: a folder goes through one that is thrown away."""
    if isinstance(model, Model):
        bundle = layout_of(settings, Path(model.path), model.framework)
        for note in bundle.notes:
            say(note)
        registry = Registry(str(scratch))
        return registry, registry.register(model.name, bundle, framework=model.framework.value)
    registry = Registry(settings.registry)
    return registry, registry.get(model.name, model.version)


def _bundle(registry: Registry, registered: Registered) -> ServedBundle:
    return ServedBundle.model_validate(
        {
            "registry": registry.url,
            "name": registered.name,
            "version": registered.version,
            "digest": registered.digest,
            "path": registry.local_path(registered),
            "framework": registered.framework,
        }
    )
