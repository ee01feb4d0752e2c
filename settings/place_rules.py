"""Rules over the places where things are kept: the registry and the folder of this machine's state."""

from collections.abc import Iterator
from pathlib import Path

from bundle.registry import Registry, RegistryError
from bundle.shell_names import PLAIN_PATH
from settings.errors import Mistake
from settings.model_rules import registry_url
from settings.schema import Framework, Model, Settings, Target

__all__ = ["place_rules"]


def place_rules(settings: Settings, project: Path) -> Iterator[Mistake]:
    """Yield places that cannot be, relative paths starting at `project`."""
    try:
        Registry(registry_url(settings, project))
    except RegistryError as error:
        yield Mistake(path="registry", value=repr(settings.registry), expected=str(error))
    local = [("stateDirectory", settings.state_directory)]
    if "://" not in settings.registry:
        local.append(("registry", settings.registry))
    for path, value in local:
        place = (project / value).resolve()
        file = next((part for part in (place, *place.parents) if part.exists() and not part.is_dir()), None)
        if file is not None:
            yield Mistake(path=path, value=repr(value), expected=f"expected a folder; {file} is a file")
        elif _reaches_a_shell(settings) and not PLAIN_PATH.fullmatch(str(place)):
            yield Mistake(
                path=path,
                value=repr(value),
                expected=f"its path, {place}, reaches a shell in Triton's Python backend; expected letters of ASCII, "
                "digits, '.', '_', '-' and '/' alone; name a folder elsewhere",
            )


def _reaches_a_shell(settings: Settings) -> bool:
    """Whether Triton runs on paths of this machine: not in a container, and not for a script alone."""
    by_triton = any(not isinstance(model, Model) or model.framework is Framework.MULTI for model in settings.models)
    return settings.deployment.target is Target.PROCESS and by_triton
