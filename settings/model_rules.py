"""Rules over a service's models: each is there once, and is what the target can serve."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bundle.layout import check_files, check_layout
from bundle.problems import LayoutError
from bundle.registry import Registry, RegistryError
from settings.errors import Mistake
from settings.schema import Framework, Model, RegisteredModelId, Settings

__all__ = ["model_rules", "registry_url"]


def model_rules(settings: Settings, project: Path) -> Iterator[Mistake]:
    """Yield what is wrong with the models, relative paths starting at `project`."""
    names = Counter(model.name for model in settings.models)
    for index, model in enumerate(settings.models):
        if names[model.name] > 1:
            yield Mistake(
                path=f"models[{index}].name",
                value=repr(model.name),
                expected="expected each model's name once in a service",
            )
        if isinstance(model, Model):
            yield from _can_be_registered(settings, model, f"models[{index}].path", project)
        else:
            yield from _is_registered(settings, model, f"models[{index}]", project)


def registry_url(settings: Settings, project: Path) -> str:
    """The model registry's URL, or the absolute path of its folder."""
    return settings.registry if "://" in settings.registry else str((project / settings.registry).resolve())


def _can_be_registered(settings: Settings, model: Model, path: str, project: Path) -> Iterator[Mistake]:
    folder = (project / model.path).resolve()
    if not folder.exists():
        yield Mistake(path=path, value=repr(model.path), expected=f"expected a folder; there is none at {folder}")
        return
    try:
        if model.framework is Framework.CUSTOM:
            check_files(folder)
        else:
            check_layout(folder, target=settings.deployment.target.value)
    except LayoutError as error:
        yield from (Mistake(path=path, value=repr(model.path), expected=problem) for problem in error.problems)


def _is_registered(settings: Settings, model: RegisteredModelId, path: str, project: Path) -> Iterator[Mistake]:
    try:
        Registry(registry_url(settings, project)).get(model.name, model.version)
    except RegistryError as error:
        yield Mistake(path=path, value=f"'{model.name}:{model.version}'", expected=str(error))
