"""The Pulumi program: a stack's settings in, a Triton service behind its front door and the stack's outputs out."""

import os
import signal
from pathlib import Path

import pulumi

from common.errors import UserError
from common.redaction import redacted
from components.deployment import check_place
from components.model_bundle import ModelBundle
from components.stack_settings import SERVICE, stack_settings
from components.triton_environment import TritonEnvironment
from components.triton_service import TritonService
from settings.schema import Settings


def declare(settings: Settings) -> None:
    """Declare everything that the settings ask for, and export the stack's outputs."""
    check_place(SERVICE, settings)  # first: where nobody previews, a refusal must leave no beginnings
    places = settings.given("registry", "state_directory")
    download = settings.node_pool.models_from == "image"
    models = [ModelBundle(model.name, **model.given(), **places, download=download) for model in settings.models]
    environment = TritonEnvironment(settings.environment.name, **settings.environment.given())
    # Not named after the service: its clients keep their keys when it gets another name.
    service = TritonService(
        SERVICE,
        models=models,
        environment=environment,
        **{**settings.given(*TritonService.Inputs.model_fields), "service_name": settings.service_name},
    )
    for output, value in service.outputs.items():
        pulumi.export(output, value)


def end_quietly(*_: object) -> None:
    """End at an interrupt, which Pulumi's CLI sends once a resource failed: the reason stands there already.

    By the exit code that tells the CLI so; Python's own way ends in tracebacks above that reason.
    """
    os._exit(32)


signal.signal(signal.SIGINT, end_quietly)
try:
    declare(stack_settings(Path(__file__).resolve().parent))
except UserError as mistake:
    # A user's mistake: its words are enough, without a traceback.
    raise pulumi.RunError(redacted(str(mistake))) from None
