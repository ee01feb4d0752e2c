"""EnvironmentImage: an environment as a container image."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.service_secrets import Secrets
from environment.curated_clone import declared_environment
from environment.image_name import server_of
from environment.pip_settings import pip_variables
from environment.source_digest import digest_of
from provider.program_folder import SOURCES
from provider.resources.environment_context import EnvironmentContext
from provider.resources.service_context import ServiceContext
from settings.requirements_file import pip_packages
from settings.schema import Settings

__all__ = ["EnvironmentImage", "EnvironmentImageArgs", "ImageStore", "built_image", "given_locks"]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class ImageStore:
    """Where a service's images go: pushed to `repository`, or, without one, kept on the engine under `local_name`."""

    local_name: str
    repository: str | None = None
    username: str | None = None
    password: pulumi.Input[str] | None = None

    @classmethod
    def of(cls, settings: Settings, secrets: Secrets) -> "ImageStore":
        """The store that a service's settings and secrets give."""
        return cls(
            local_name=settings.service_name,
            repository=settings.image.repository,
            username=settings.image.username,
            password=secrets.output("image_password"),
        )

    @property
    def name(self) -> str:
        """The images' name, without a tag."""
        return self.repository or self.local_name

    @property
    def registry(self) -> docker.RegistryArgs | None:
        """The credentials for pushing, where there are any; otherwise Docker's own configuration is asked."""
        if self.repository is None or self.username is None:
            return None
        return docker.RegistryArgs(server=server_of(self.repository), username=self.username, password=self.password)


def given_locks(settings: Settings) -> str:
    """Name the folder of locks that the settings give, as resources of environments take it; "" without one."""
    folder = settings.environment.lock_directory
    return str(Path(folder).resolve()) if folder else ""


def built_image(
    name: str,
    store: ImageStore,
    *,
    kind: str,
    context: EnvironmentContext | ServiceContext,
    parent: pulumi.Resource,
    args: dict[str, str] | None = None,
) -> docker.Image:
    """An image built from a context's folder, tagged `<kind>-<digest>`, and pushed where the store has a repository."""
    return docker.Image(
        name,
        image_name=context.digest.apply(lambda digest: f"{store.name}:{kind}-{digest[:12]}"),
        build=docker.DockerBuildArgs(
            context=context.path,
            dockerfile=context.path.apply(lambda path: f"{path}/Dockerfile"),
            args=pulumi.Output.secret(args) if args else None,
            platform=f"linux/{_ARCHITECTURES.get(platform.machine(), platform.machine())}",
        ),
        registry=store.registry,
        skip_push=store.repository is None,
        opts=pulumi.ResourceOptions(parent=parent),
    )


@dataclass(frozen=True, kw_only=True)
class EnvironmentImageArgs:
    """A curated environment (`name` alone) or a `clone` of one with pip packages, and what its image starts from.

    `base_image` replaces the curated environment's own. `folder` gets what the image is built from, `locks` the locks.
    Those in `given_locks` hold in place of new ones; "" where there are none.
    """

    name: str
    clone: str | None
    pip_packages: Sequence[str]
    base_image: str | None
    store: ImageStore
    folder: Path
    locks: Path
    given_locks: str = ""

    @classmethod
    def of(cls, settings: Settings, secrets: Secrets) -> "EnvironmentImageArgs":
        """The arguments that a service's settings and secrets give."""
        state = Path(settings.state_directory).resolve()
        return cls(
            name=settings.environment.name,
            clone=settings.environment.clone,
            pip_packages=pip_packages(settings.environment),
            base_image=settings.image.base_image,
            store=ImageStore.of(settings, secrets),
            folder=state / "images" / settings.service_name / "environment",
            locks=state / "environments" / "locks",
            given_locks=given_locks(settings),
        )


class EnvironmentImage(pulumi.ComponentResource):
    """An environment's image: the base image with the environment's packages, locked, and the entry script server.

    `reference` names it for a Dockerfile: by digest where it is pushed, otherwise by a tag with its content's digest.
    Raises `SpecError` before anything is declared.
    """

    reference: pulumi.Output[str]
    digest: pulumi.Output[str]
    lock_files: pulumi.Output[list[str]]

    def __init__(self, name: str, args: EnvironmentImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        declared = declared_environment(args.name, args.clone, args.pip_packages)
        super().__init__("triton:index:EnvironmentImage", name, None, opts)
        context = EnvironmentContext(
            f"{name}-context",
            {
                "name": args.name,
                "clone": args.clone or "",
                "pip_packages": list(args.pip_packages),
                "base_image": args.base_image or declared.curated.image.reference,
                "folder": str(args.folder),
                "locks": str(args.locks),
                "given_locks": args.given_locks,
                "curated": declared.curated.model_dump(mode="json"),
                # What is in the image, and what writes its Dockerfile.
                "sources": {folder: digest_of(SOURCES / folder) for folder in ("serving", "environment")},
            },
            pulumi.ResourceOptions(parent=self),
        )
        image = built_image(
            f"{name}-image", args.store, kind="environment", context=context, parent=self, args=pip_variables()
        )
        self.digest, self.lock_files = context.digest, context.lock_files
        self.reference = image.repo_digest if args.store.repository else image.image_name
        self.register_outputs({"reference": self.reference, "digest": self.digest, "packages": context.packages})
