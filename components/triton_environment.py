"""TritonEnvironment: what serves, made from a curated environment and pip packages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.model_bundle import ModelBundle
from environment.curated_clone import declared_environment
from environment.source_digest import digest_of
from provider.resources.environment_venv import EnvironmentVenv
from settings.schema import Framework, Settings
from settings.variables import served_variables

__all__ = ["TritonEnvironment", "TritonEnvironmentArgs"]

PROJECT = Path(__file__).resolve().parents[1]
# What becomes part of an environment besides packages: a change here is a change of the environment.
_SOURCES = ("serving", "targets/process/backends")


@dataclass(frozen=True, kw_only=True)
class TritonEnvironmentArgs:
    """A curated environment (`name` alone), or a `clone` of one with pip packages and variables of its own.

    `triton` says whether the environment needs Triton's server, `gpu` whether models run on a GPU. `root` is the folder
    of built environments.
    """

    name: str
    clone: str | None
    pip_packages: Sequence[str]
    variables: Mapping[str, str]
    triton: pulumi.Input[bool]
    gpu: bool
    root: Path

    @classmethod
    def of(cls, settings: Settings, bundles: Sequence[ModelBundle]) -> "TritonEnvironmentArgs":
        """The arguments that a stack's settings give."""
        frameworks = pulumi.Output.all(*(bundle.framework for bundle in bundles))
        return cls(
            name=settings.environment.name,
            clone=settings.environment.clone,
            pip_packages=settings.environment.pip_packages,
            variables=served_variables(settings),
            triton=frameworks.apply(lambda served: Framework.MULTI.value in served),
            gpu=settings.deployment.has_gpu,
            root=(Path(settings.state_directory) / "environments").resolve(),
        )


class TritonEnvironment(pulumi.ComponentResource):
    """An environment on this machine: a venv, resolved and locked, named by its digest.

    Raises `SpecError` before anything is declared.
    """

    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    variables: Mapping[str, str]
    summary: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: TritonEnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        declared = declared_environment(args.name, args.clone, args.pip_packages).with_variables(args.variables)
        super().__init__("triton:index:TritonEnvironment", name, None, opts)
        venv = EnvironmentVenv(
            f"{name}-venv",
            {
                "name": args.name,
                "clone": args.clone or "",
                "pip_packages": list(args.pip_packages),
                "triton": args.triton,
                "gpu": args.gpu,
                "root": str(args.root),
                "curated": declared.curated.model_dump(mode="json"),
                "sources": {source: digest_of(PROJECT / source) for source in _SOURCES},
            },
            pulumi.ResourceOptions(parent=self),
        )
        self.path = venv.path
        self.digest = venv.digest
        self.variables = declared.variables
        self.summary = pulumi.Output.all(name=args.name, digest=self.digest)
        self.register_outputs({"path": self.path, "digest": self.digest, "packages": venv.packages})
