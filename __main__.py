"""The Pulumi program: a stack's settings in, a Triton service behind its front door and the stack's outputs out.

What only one target needs is imported where it is used: Kubernetes' SDK alone takes as long as all the rest.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from bundle.problems import LayoutError
from bundle.registry import RegistryError
from common.redaction import redacted
from components.access_keys import AccessKeys, AccessKeysArgs
from components.gateway import Gateway, GatewayArgs
from components.model_bundle import ModelBundle, ModelBundleArgs
from components.smoke_check import SmokeCheck, SmokeCheckArgs
from components.stack_settings import stack_settings
from environment.spec import SpecError
from settings import Settings, SettingsError
from settings.schema import Target
from targets.entry_script import source_notes
from targets.errors import ServiceError

if TYPE_CHECKING:
    from components.machine_deployment import MachineDeployment
    from components.node_pool_gateway import NodePoolGateway

PROJECT = Path(__file__).resolve().parent


def declare(settings: Settings) -> None:
    """Declare everything that the settings ask for, and export the stack's outputs."""
    name = settings.service_name
    check_machine(settings)
    for note in source_notes(settings, PROJECT):
        pulumi.log.info(note)
    bundles = [
        ModelBundle(f"{name}-{model.name}", ModelBundleArgs.of(settings, model, PROJECT)) for model in settings.models
    ]
    # Not named after the service: its clients keep their keys when it gets another name.
    keys = AccessKeys("keys", AccessKeysArgs.of(settings))
    deploy = {Target.PROCESS: on_processes, Target.DOCKER: on_docker, Target.NODE_POOL: on_node_pool}
    first = bundles[0]
    outputs = {
        **deploy[settings.deployment.target](settings, bundles, keys),
        "primaryKey": keys.primary,
        "secondaryKey": keys.secondary,
        "modelId": first.model_id,
        "modelDigest": first.digest,
        "models": pulumi.Output.all(*(bundle.summary for bundle in bundles)),
    }
    for output, value in outputs.items():
        pulumi.export(output, value)


def check_machine(settings: Settings) -> None:
    """Refuse a service before anything is declared: with --skip-preview, a later refusal would leave its beginnings."""
    if settings.deployment.target is Target.PROCESS:
        from components import process_deployment

        process_deployment.check_machine(settings, PROJECT)
    elif settings.deployment.target is Target.DOCKER:
        from components import docker_deployment

        docker_deployment.check_machine(settings, PROJECT)
    else:
        from components import node_pool_deployment

        node_pool_deployment.check_cluster(settings)


def on_processes(settings: Settings, bundles: list[ModelBundle], keys: AccessKeys) -> dict[str, Any]:
    """Deploy to processes of this machine; gives what the deployment adds to the stack's outputs."""
    from components.process_deployment import ProcessDeployment, ProcessDeploymentArgs
    from components.triton_environment import TritonEnvironment, TritonEnvironmentArgs

    name = settings.service_name
    venv = TritonEnvironment(f"{name}-environment", TritonEnvironmentArgs.of(settings, bundles, PROJECT))
    deployment = ProcessDeployment(
        "deployment",
        ProcessDeploymentArgs(settings, PROJECT, bundles=bundles, environment=venv),
        under_any_name(f"{name}-deployment"),
    )
    return {**at_the_front_door(settings, bundles, keys, deployment), "environment": venv.summary}


def on_docker(settings: Settings, bundles: list[ModelBundle], keys: AccessKeys) -> dict[str, Any]:
    """Deploy to containers of this machine; gives what the deployment adds to the stack's outputs."""
    from components.docker_deployment import DockerDeployment, DockerDeploymentArgs
    from components.service_image import ServiceImage, ServiceImageArgs

    name = settings.service_name
    image = ServiceImage(f"{name}-image", ServiceImageArgs.of(settings, bundles, PROJECT))
    deployment = DockerDeployment(
        "deployment",
        DockerDeploymentArgs(settings, PROJECT, bundles=bundles, image=image.reference),
        under_any_name(f"{name}-deployment"),
    )
    return {**at_the_front_door(settings, bundles, keys, deployment), "environment": image.environment}


def under_any_name(former: str) -> pulumi.ResourceOptions:
    """Options of a resource that stays the same when the service gets another name: its port never closes.

    `former` is what earlier versions of this program called it.
    """
    return pulumi.ResourceOptions(aliases=[pulumi.Alias(name=former)])


def at_the_front_door(
    settings: Settings, bundles: list[ModelBundle], keys: AccessKeys, deployment: MachineDeployment
) -> dict[str, Any]:
    """Open a deployment of this machine to clients, and check it."""
    name = settings.service_name
    gateway = Gateway(
        "gateway",
        GatewayArgs(settings, PROJECT, keys=keys, deployment=deployment),
        under_any_name(f"{name}-gateway"),
    )
    SmokeCheck(f"{name}-smoke-check", SmokeCheckArgs(settings, PROJECT, bundles, keys, deployment, gateway))
    return outputs_of(gateway)


def on_node_pool(settings: Settings, bundles: list[ModelBundle], keys: AccessKeys) -> dict[str, Any]:
    """Deploy to a Kubernetes node pool; gives what the deployment adds to the stack's outputs."""
    from components.node_pool_deployment import NodePoolDeployment, NodePoolDeploymentArgs
    from components.node_pool_gateway import NodePoolGateway, NodePoolGatewayArgs
    from components.node_pool_smoke_check import NodePoolSmokeCheck, NodePoolSmokeCheckArgs
    from components.service_image import ServiceImage, ServiceImageArgs

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
        **outputs_of(gateway),
        "environment": image.environment,
        "cluster": deployment.cluster,
        "logs": deployment.logs,
        "portForward": gateway.port_forward,
    }


def outputs_of(gateway: Gateway | NodePoolGateway) -> dict[str, Any]:
    """Where clients find what the front door leads to, and how it was found to be."""
    return {
        "scoringUri": gateway.scoring_uri,
        "tritonUri": gateway.triton_uri,
        "grpcUri": gateway.grpc_uri,
        "swaggerUri": gateway.swagger_uri,
        "metricsUri": gateway.metrics_uri,
        "state": gateway.state,
    }


def end_quietly(*_: object) -> None:
    """End at an interrupt, which Pulumi's CLI sends once a resource failed: the reason stands there already.

    By the exit code that tells the CLI so; Python's own way ends in tracebacks above that reason.
    """
    os._exit(32)


signal.signal(signal.SIGINT, end_quietly)
try:
    declare(stack_settings(PROJECT))
except (LayoutError, RegistryError, ServiceError, SettingsError, SpecError) as mistake:
    # A user's mistake: its words are enough, without a traceback.
    raise pulumi.RunError(redacted(str(mistake))) from None
