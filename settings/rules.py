"""Rules over the whole tree: what a single setting cannot know about the others, the disk and this machine.

They hold in every engine and at every preview.
"""

from collections.abc import Collection, Iterator

from environment import Environment, SpecError
from settings.errors import Mistake
from settings.front_door_rules import front_door_rules
from settings.image_rules import image_rules
from settings.machine import machine_rules
from settings.model_rules import model_rules, read_bundles
from settings.node_pool_rules import node_pool_rules
from settings.place_rules import place_rules
from settings.protection import protection_rules
from settings.schema import Settings
from settings.script_rules import script_rules
from settings.text_rules import text_rules
from settings.tls_files import tls_rules
from settings.variable_rules import variable_rules

__all__ = ["broken_rules"]


def broken_rules(settings: Settings, secret: Collection[str]) -> list[Mistake]:
    """List the rules that these settings break; `secret` names the settings that the stack's file encrypts."""
    bundles = read_bundles(settings)
    return [
        *text_rules(settings),
        *place_rules(settings),
        *model_rules(settings, bundles),
        *_environment_can_be(settings),
        *variable_rules(settings),
        *script_rules(settings, bundles),
        *tls_rules(settings),
        *protection_rules(settings, secret),
        *front_door_rules(settings),
        *machine_rules(settings),
        *image_rules(settings, secret),
        *node_pool_rules(settings),
    ]


def _environment_can_be(settings: Settings) -> Iterator[Mistake]:
    declared = settings.environment
    path, name = ("environment.clone", declared.clone) if declared.clone else ("environment.name", declared.name)
    try:
        curated = Environment.get(name)
    except SpecError as error:
        yield Mistake(path=path, value=repr(name), expected=str(error))
        return
    for index, package in enumerate(declared.pip_packages):
        try:
            curated.add_pip_package(package)
        except SpecError as error:
            yield Mistake(path=f"environment.pipPackages[{index}]", expected=str(error))
