"""Every rule over a stack's settings; both engines apply them at each preview."""

from collections.abc import Collection, Iterator

from settings.errors import Mistake
from settings.rules.certificate import certificate_rules
from settings.rules.clients import client_rules
from settings.rules.environment import environment_rules
from settings.rules.front_door import front_door_rules
from settings.rules.gpus import gpu_rules
from settings.rules.images import image_rules
from settings.rules.models import model_rules, read_bundles
from settings.rules.node_pool import node_pool_rules
from settings.rules.places import place_rules
from settings.rules.protection import protection_rules
from settings.rules.rate_limit_service import rate_limit_service_rules
from settings.rules.recording import recording_rules
from settings.rules.rollout import rollout_rules
from settings.rules.rule import rule
from settings.rules.script import script_rules
from settings.rules.texts import text_rules
from settings.rules.this_machine import machine_rules
from settings.rules.traces import trace_rules
from settings.rules.variables import variable_rules
from settings.schema import Settings

__all__ = ["broken_rules"]


def broken_rules(settings: Settings, secret: Collection[str]) -> list[Mistake]:
    """List the rules that a stack's settings break.

    Args:
        settings: The settings, whose form is valid.
        secret: The paths of the settings that the stack's file encrypts.
    """
    bundles = read_bundles(settings)
    return [
        *text_rules(settings),
        *place_rules(settings),
        *model_rules(settings, bundles),
        *_environment_can_be(settings),
        *variable_rules(settings),
        *trace_rules(settings),
        *script_rules(settings, bundles),
        *certificate_rules(settings),
        *protection_rules(settings, secret),
        *front_door_rules(settings),
        *client_rules(settings, bundles),
        *rate_limit_service_rules(settings),
        *machine_rules(settings),
        *gpu_rules(settings, bundles),
        *image_rules(settings, secret),
        *node_pool_rules(settings),
        *recording_rules(settings, bundles),
        *rollout_rules(settings, bundles),
    ]


@rule
def _environment_can_be(settings: Settings) -> Iterator[Mistake]:
    yield from environment_rules(settings.environment)
