"""Rules over the places where things are kept: the registry and the folder of this machine's state."""

from collections.abc import Iterator
from pathlib import Path

from bundle.registry import Registry, RegistryError
from settings.errors import Mistake
from settings.model_rules import registry_url
from settings.schema import Settings

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
