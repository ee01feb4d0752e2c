"""Rules over a service's models: each is there once, and the target can serve it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.frameworks import named
from bundle.golden_file import least_request_bytes
from bundle.problems import LayoutError
from bundle.registry import Registered, Registry, RegistryError
from bundle.shell_names import folder_problems
from settings.errors import Mistake
from settings.model_runtime import layout_of
from settings.rules.rule import rule
from settings.schema import Framework, Model, RegisteredModelId, Settings
from settings.service_groups import Limits
from settings.unreadable import is_unreadable

__all__ = ["BundleRead", "model_rules", "read_bundles"]


@dataclass(frozen=True)
class BundleRead:
    """A model of the settings, as its folder or the registry tells it.

    Attributes:
        path: The path of the setting.
        value: The value of the setting, as messages show it.
        by_triton: Whether Triton serves the bundle.
        models: The models in the bundle, as JSON objects.
        mistakes: What keeps the target from serving it.
        unread: Whether its models are not known: it has mistakes, or a setting that it depends on has no valid form.
    """

    path: str
    value: str
    by_triton: bool
    models: Sequence[Mapping[str, Any]] = ()
    mistakes: Sequence[Mistake] = ()
    unread: bool = False


def read_bundles(settings: Settings) -> list[BundleRead]:
    """Check the folders to register, and look the registered versions up."""
    return [_read(settings, model, f"models[{index}]") for index, model in enumerate(settings.models)]


def _read(settings: Settings, model: Model | RegisteredModelId, path: str) -> BundleRead:
    try:
        if isinstance(model, Model):
            return _to_register(settings, model, f"{path}.path")
        return _registered(settings, model, path)
    except AttributeError as error:
        if not is_unreadable(error):
            raise
        return BundleRead(path, "", by_triton=True, unread=True)


@rule
def model_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what is wrong with the models.

    Args:
        settings: A stack's settings.
        bundles: What `read_bundles` gave for them.
    """
    names = Counter(model.name for model in settings.models)
    for index, (model, bundle) in enumerate(zip(settings.models, bundles, strict=True)):
        if names[model.name] > 1:
            yield Mistake(
                path=f"models[{index}].name",
                value=repr(model.name),
                expected="expected each model's name once in a service",
            )
        yield from bundle.mistakes
    named_once = [bundle for model, bundle in zip(settings.models, bundles, strict=True) if names[model.name] == 1]
    yield from _each_is_in_one_bundle(named_once)
    yield from _goldens_pass_the_door(settings.deployment.limits, named_once)


def _to_register(settings: Settings, model: Model, path: str) -> BundleRead:
    folder = Path(model.path).resolve()
    by_triton = model.framework is Framework.MULTI
    if not folder.exists():
        problems: Sequence[str] = [f"expected a folder; there is none at {folder}"]
    else:
        try:
            bundle = layout_of(settings, folder, model.framework)
            return BundleRead(path, repr(model.path.written), by_triton, [found.to_json() for found in bundle.models])
        except LayoutError as error:
            problems = error.problems
    mistakes = [Mistake(path=path, value=repr(model.path.written), expected=problem) for problem in problems]
    return BundleRead(path, repr(model.path.written), by_triton, mistakes=mistakes, unread=True)


def _registered(settings: Settings, model: RegisteredModelId, path: str) -> BundleRead:
    value = f"'{model.name}:{model.version}'"
    try:
        found = Registry(settings.registry).get(model.name, model.version)
    except RegistryError as error:
        return BundleRead(
            path, value, by_triton=True, mistakes=[Mistake(path=path, value=value, expected=str(error))], unread=True
        )
    by_triton = found.framework == Framework.MULTI.value
    problems = _registered_problems(settings, found) if by_triton else ()
    mistakes = [Mistake(path=path, value=value, expected=problem) for problem in problems]
    return BundleRead(path, value, by_triton, found.models, mistakes, unread=bool(mistakes))


def _registered_problems(settings: Settings, found: Registered) -> Sequence[str]:
    """Say what keeps the target from serving a registered bundle, which may be another target's or another program's.

    Of a bundle in an object store only the manifest is at hand; the download checks the rest.
    """
    if "://" not in found.path:
        try:
            layout_of(settings, Path(found.path))
        except LayoutError as error:
            return error.problems
        return ()
    target = settings.deployment.target.value
    problems: list[str] = []
    for held in found.models:
        problems += folder_problems(f"triton/{held['name']}", held["name"])
        framework = named(backend=held["backend"], platform=held["platform"], file="")
        if framework is not None and target not in framework.targets:
            problems.append(
                f"target '{target}' cannot serve '{held['name']}', a {framework.label} model; expected a "
                f"target that can: {', '.join(framework.targets)}; choose one, or convert the model to ONNX"
            )
    return problems


@rule
def _each_is_in_one_bundle(bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    holders: dict[str, list[BundleRead]] = defaultdict(list)
    for bundle in bundles:
        for model in bundle.models if bundle.by_triton else ():
            holders[model["name"]].append(bundle)
    for name, (first, *others) in holders.items():
        for other in others:
            yield Mistake(
                path=other.path,
                value=other.value,
                expected=f"has a model '{name}', and so has {first.path}: Triton serves a name once; rename one of the "
                "two folders",
            )


@rule
def _goldens_pass_the_door(limits: Limits, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield golden inferences that are too large: the check after a deployment asks through the front door."""
    for bundle in bundles:
        for model in bundle.models if bundle.by_triton else ():
            size = least_request_bytes(model)
            if size > limits.max_request_bytes:
                yield Mistake(
                    path="deployment.maxRequestMegabytes",
                    value=str(limits.max_request_megabytes),
                    expected=f"the golden inference of '{model['name']}' has some {size / (1 << 20):.1f} MB, and the "
                    f"check after a deployment sends it through the front door; expected {-(-size >> 20)} or more",
                )
