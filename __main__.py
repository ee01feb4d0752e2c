"""The Pulumi program: a stack's settings in, a Triton service behind its front door and the stack's outputs out."""

from pathlib import Path

import pulumi

from bundle.problems import LayoutError
from bundle.registry import RegistryError
from components.access_keys import AccessKeys, AccessKeysArgs
from components.gateway import Gateway, GatewayArgs
from components.model_bundle import ModelBundle, ModelBundleArgs
from components.process_deployment import ProcessDeployment, ProcessDeploymentArgs
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from components.stack_settings import stack_settings
from components.triton_environment import TritonEnvironment, TritonEnvironmentArgs
from environment.spec import SpecError
from processes.directory import ServiceError
from settings import Settings, SettingsError

PROJECT = Path(__file__).resolve().parent


def declare(settings: Settings) -> None:
    """Declare everything that the settings ask for, and export the stack's outputs."""
    name = settings.service_name
    bundles = [
        ModelBundle(f"{name}-{model.name}", ModelBundleArgs.of(settings, model, PROJECT)) for model in settings.models
    ]
    keys = AccessKeys(f"{name}-keys", AccessKeysArgs.of(settings))
    environment = TritonEnvironment(f"{name}-environment", TritonEnvironmentArgs.of(settings, bundles, PROJECT))
    deployment = ProcessDeployment(
        f"{name}-deployment", ProcessDeploymentArgs(settings, PROJECT, bundles=bundles, environment=environment)
    )
    gateway = Gateway(f"{name}-gateway", GatewayArgs(settings, PROJECT, keys=keys, deployment=deployment))
    SmokeCheck(f"{name}-smoke-check", SmokeCheckArgs(settings, PROJECT, bundles, keys, deployment, gateway))

    first = bundles[0]
    outputs = {
        "scoringUri": gateway.scoring_uri,
        "tritonUri": gateway.triton_uri,
        "swaggerUri": gateway.swagger_uri,
        "metricsUri": gateway.metrics_uri,
        "primaryKey": keys.primary,
        "secondaryKey": keys.secondary,
        "state": deployment.state,
        "modelId": first.model_id,
        "modelDigest": first.digest,
        "models": pulumi.Output.all(*(bundle.summary for bundle in bundles)),
        "environment": environment.summary,
    }
    for output, value in outputs.items():
        pulumi.export(output, value)


try:
    declare(stack_settings(PROJECT))
except (LayoutError, RegistryError, ServiceError, SettingsError, SpecError) as mistake:
    # A user's mistake: its words are enough, without a traceback.
    raise pulumi.RunError(str(mistake)) from None
