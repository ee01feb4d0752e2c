"""Rules over the places that keep things: the registry and the folder of this machine's state."""

from collections.abc import Iterator
from pathlib import Path

from bundle.registry import Registry, RegistryError
from bundle.shell_names import PLAIN_PATH
from settings.errors import Mistake
from settings.project_path import ProjectPath
from settings.rules.rule import rule
from settings.schema import Framework, Model, Settings, Target

__all__ = ["place_rules"]


@rule
def place_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield places that cannot exist."""
    try:
        Registry(settings.registry)
    except RegistryError as error:
        yield Mistake(path="registry", value=repr(settings.registry.written), expected=str(error))
    local: list[tuple[str, ProjectPath]] = [("stateDirectory", settings.state_directory)]
    if settings.registry.is_folder:
        local.append(("registry", settings.registry))
    for path, folder in local:
        place = Path(folder).resolve()
        file = next((part for part in (place, *place.parents) if part.exists() and not part.is_dir()), None)
        if file is not None:
            yield Mistake(path=path, value=repr(folder.written), expected=f"expected a folder; {file} is a file")
        elif _reaches_a_shell(settings) and not PLAIN_PATH.fullmatch(str(place)):
            yield Mistake(
                path=path,
                value=repr(folder.written),
                expected=f"its path, {place}, reaches a shell in Triton's Python backend; expected letters of ASCII, "
                "digits, '.', '_', '-' and '/' alone; name a folder elsewhere",
            )


def _reaches_a_shell(settings: Settings) -> bool:
    """Tell whether Triton runs on paths of this machine: not in a container, and not for a script alone."""
    by_triton = any(not isinstance(model, Model) or model.framework is Framework.MULTI for model in settings.models)
    return settings.deployment.target is Target.PROCESS and by_triton
