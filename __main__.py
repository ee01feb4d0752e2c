"""The Pulumi program: a stack's settings in, a Triton service behind its front door and the stack's outputs out."""

from pathlib import Path
from typing import Any

import pulumi

from bundle.problems import LayoutError
from bundle.registry import RegistryError
from components import docker_deployment, process_deployment
from components.access_keys import AccessKeys, AccessKeysArgs
from components.docker_deployment import DockerDeployment, DockerDeploymentArgs
from components.gateway import Gateway, GatewayArgs
from components.model_bundle import ModelBundle, ModelBundleArgs
from components.node_pool_deployment import NodePoolDeployment, NodePoolDeploymentArgs
from components.node_pool_gateway import NodePoolGateway, NodePoolGatewayArgs
from components.node_pool_smoke_check import NodePoolSmokeCheck, NodePoolSmokeCheckArgs
from components.process_deployment import ProcessDeployment, ProcessDeploymentArgs
from components.service_image import ServiceImage, ServiceImageArgs
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from components.stack_settings import stack_settings
from components.triton_environment import TritonEnvironment, TritonEnvironmentArgs
from environment.spec import SpecError
from machine.service import ServiceError
from settings import Settings, SettingsError
from settings.schema import Target

PROJECT = Path(__file__).resolve().parent
# What refuses a service before anything of it is declared: with --skip-preview, a refusal later leaves its beginnings.
CHECKS = {Target.PROCESS: process_deployment.check_machine, Target.DOCKER: docker_deployment.check_machine}


def declare(settings: Settings) -> None:
    """Declare everything that the settings ask for, and export the stack's outputs."""
    name = settings.service_name
    if check_machine := CHECKS.get(settings.deployment.target):
        check_machine(settings, PROJECT)
    bundles = [
        ModelBundle(f"{name}-{model.name}", ModelBundleArgs.of(settings, model, PROJECT)) for model in settings.models
    ]
    keys = AccessKeys(f"{name}-keys", AccessKeysArgs.of(settings))
    deploy = on_node_pool if settings.deployment.target is Target.NODE_POOL else on_this_machine
    first = bundles[0]
    outputs = {
        **deploy(settings, bundles, keys),
        "primaryKey": keys.primary,
        "secondaryKey": keys.secondary,
        "modelId": first.model_id,
        "modelDigest": first.digest,
        "models": pulumi.Output.all(*(bundle.summary for bundle in bundles)),
    }
    for output, value in outputs.items():
        pulumi.export(output, value)


def on_this_machine(settings: Settings, bundles: list[ModelBundle], keys: AccessKeys) -> dict[str, Any]:
    """Deploy to processes or containers of this machine; gives what the deployment adds to the stack's outputs."""
    name = settings.service_name
    deployment: ProcessDeployment | DockerDeployment
    if settings.deployment.target is Target.DOCKER:
        image = ServiceImage(f"{name}-image", ServiceImageArgs.of(settings, bundles, PROJECT))
        environment = image.environment
        deployment = DockerDeployment(
            f"{name}-deployment", DockerDeploymentArgs(settings, PROJECT, bundles=bundles, image=image.reference)
        )
    else:
        venv = TritonEnvironment(f"{name}-environment", TritonEnvironmentArgs.of(settings, bundles, PROJECT))
        environment = venv.summary
        deployment = ProcessDeployment(
            f"{name}-deployment", ProcessDeploymentArgs(settings, PROJECT, bundles=bundles, environment=venv)
        )
    gateway = Gateway(f"{name}-gateway", GatewayArgs(settings, PROJECT, keys=keys, deployment=deployment))
    SmokeCheck(f"{name}-smoke-check", SmokeCheckArgs(settings, PROJECT, bundles, keys, deployment, gateway))
    return {**uris(gateway), "state": deployment.state, "environment": environment}


def on_node_pool(settings: Settings, bundles: list[ModelBundle], keys: AccessKeys) -> dict[str, Any]:
    """Deploy to a Kubernetes node pool; gives what the deployment adds to the stack's outputs."""
    name = settings.service_name
    image = ServiceImage(f"{name}-image", ServiceImageArgs.of(settings, bundles, PROJECT))
    deployment = NodePoolDeployment(
        f"{name}-deployment", NodePoolDeploymentArgs(settings, bundles=bundles, image=image.reference)
    )
    gateway = NodePoolGateway(
        f"{name}-gateway", NodePoolGatewayArgs(settings, PROJECT, keys=keys, deployment=deployment)
    )
    NodePoolSmokeCheck(
        f"{name}-smoke-check", NodePoolSmokeCheckArgs(settings, PROJECT, bundles, keys, deployment, gateway)
    )
    return {
        **uris(gateway),
        "state": deployment.state,
        "environment": image.environment,
        "logs": deployment.logs,
        "portForward": gateway.port_forward,
    }


def uris(gateway: Gateway | NodePoolGateway) -> dict[str, Any]:
    """Where clients find what the front door leads to."""
    return {
        "scoringUri": gateway.scoring_uri,
        "tritonUri": gateway.triton_uri,
        "swaggerUri": gateway.swagger_uri,
        "metricsUri": gateway.metrics_uri,
    }


try:
    declare(stack_settings(PROJECT))
except (LayoutError, RegistryError, ServiceError, SettingsError, SpecError) as mistake:
    # A user's mistake: its words are enough, without a traceback.
    raise pulumi.RunError(str(mistake)) from None
