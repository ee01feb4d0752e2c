"""ServiceImage: the image that a service's containers and pods run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from components.bundle_outputs import BundleOutputs
from components.environment_image import EnvironmentImage, EnvironmentImageArgs, built_image
from components.service_secrets import Secrets
from components.summaries import EnvironmentSummary
from environment.image_name import server_of
from provider.resources.service_context import ServiceContext
from settings.schema import Settings, Target
from targets.declared_script import entry_script
from targets.served import EntryScript

__all__ = ["ServiceImage", "ServiceImageArgs", "is_pushed"]


@dataclass(frozen=True, kw_only=True)
class ServiceImageArgs:
    """The bundles and the entry script that the image holds, and the environment that it starts from.

    `reference` is an image that exists, by digest: then nothing is built, and `pull` says whether this machine's engine
    gets it now. `script` is `entry_script`'s. Without
    `holds_models` Triton reads the bundles from their object store.
    """

    bundles: Sequence[BundleOutputs]
    environment: EnvironmentImageArgs
    script: EntryScript | None
    folder: Path
    reference: str | None
    pull: bool
    holds_models: bool = True

    @classmethod
    def of(cls, settings: Settings, bundles: Sequence[BundleOutputs], secrets: Secrets) -> "ServiceImageArgs":
        """The arguments that a service's settings and secrets give."""
        environment = EnvironmentImageArgs.of(settings, secrets)
        return cls(
            bundles=bundles,
            environment=environment,
            script=entry_script(settings),
            folder=environment.folder.with_name("service"),
            reference=settings.image.reference,
            pull=settings.deployment.target is Target.DOCKER,
            holds_models=settings.node_pool.models_from == "image",
        )


def is_pushed(settings: Settings) -> bool:
    """Tell whether a repository has the service's image: another machine's engine, and a later time, find it there."""
    return settings.image.repository is not None or settings.image.reference is not None


class ServiceImage(pulumi.ComponentResource):
    """The environment's image with the registered bundles, by digest, and the script's source directory.

    What runs on this machine's engine is what a node pool pulls, and nothing is copied at start. `reference` names it
    by digest, or by its id where it stays on the engine. `environment` is the environment for people and other stacks,
    `lock_files` has the locks of its packages where it was built.
    """

    reference: pulumi.Output[str]
    environment: pulumi.Output[EnvironmentSummary]
    lock_files: pulumi.Output[list[str]]

    def __init__(self, name: str, args: ServiceImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("triton:index:ServiceImage", name, None, opts)
        if args.reference is None:
            self.reference = self._built(name, args)
        else:
            self.reference = self._pulled(name, args.reference, args)
        self.register_outputs({"reference": self.reference, "environment": self.environment})

    def _built(self, name: str, args: ServiceImageArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        environment = EnvironmentImage(f"{name}-environment", args.environment, child)
        inputs: dict[str, Any] = {
            "bundles": [bundle.served for bundle in args.bundles],
            "environment_image": environment.reference,
            "folder": str(args.folder),
            "holds_models": args.holds_models,
        }
        if args.script is not None:
            inputs["entry_script"] = args.script
        context = ServiceContext(f"{name}-context", inputs, child)
        image = built_image(f"{name}-image", args.environment.store, kind="service", context=context, parent=self)
        called = args.environment.name
        self.environment = environment.digest.apply(lambda digest: EnvironmentSummary(name=called, digest=digest))
        self.lock_files = environment.lock_files
        return image.repo_digest

    def _pulled(self, name: str, reference: str, args: ServiceImageArgs) -> pulumi.Output[str]:
        self.environment = pulumi.Output.from_input({"name": args.environment.name, "digest": reference.split("@")[1]})
        self.lock_files = pulumi.Output.from_input([])
        if not args.pull:
            return pulumi.Output.from_input(reference)
        store, provider = args.environment.store, None
        if store.username is not None:
            auth = docker.ProviderRegistryAuthArgs(
                address=server_of(reference), username=store.username, password=store.password
            )
            provider = docker.Provider(
                f"{name}-registry", registry_auth=[auth], opts=pulumi.ResourceOptions(parent=self)
            )
        image = docker.RemoteImage(
            f"{name}-pulled",
            name=reference,
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )
        return image.image_id.apply(lambda _: reference)
