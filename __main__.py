"""The Pulumi program: a stack's settings in, a Triton service behind its front door and the stack's outputs out."""

import os
import signal
from pathlib import Path

import pulumi

from common.errors import UserError
from common.redaction import redacted
from components.access_keys import AccessKeys, AccessKeysArgs
from components.deployment import deployment_on
from components.gateway import Gateway, GatewayArgs
from components.model_bundle import ModelBundle, ModelBundleArgs
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from components.stack_settings import stack_settings
from settings import Settings
from targets.entry_script import source_notes


def declare(settings: Settings) -> None:
    """Declare everything that the settings ask for, and export the stack's outputs."""
    name, target = settings.service_name, deployment_on(settings.deployment.target)
    target.check(settings)
    for note in source_notes(settings):
        pulumi.log.info(note)
    bundles = [ModelBundle(f"{name}-{model.name}", ModelBundleArgs.of(settings, model)) for model in settings.models]
    # Not named after the service: its clients keep their keys when it gets another name.
    keys = AccessKeys("keys", AccessKeysArgs.of(settings))
    deployment = target.of(settings, bundles)
    gateway = Gateway(target.named(settings, "gateway"), GatewayArgs(settings, keys=keys, deployment=deployment))
    SmokeCheck(f"{name}-smoke-check", SmokeCheckArgs(settings, bundles, keys, deployment, gateway))
    outputs = {
        **gateway.outputs,
        **deployment.outputs,
        "environment": deployment.environment,
        "primaryKey": keys.primary,
        "secondaryKey": keys.secondary,
        "modelId": bundles[0].model_id,
        "modelDigest": bundles[0].digest,
        "models": pulumi.Output.all(*(bundle.summary for bundle in bundles)),
    }
    for output, value in outputs.items():
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
