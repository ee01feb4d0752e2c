"""An environment as a venv of this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from components.providers.base import Provider, say
from environment import venv
from environment.spec import declared_environment

__all__ = ["EnvironmentVenv"]


class EnvironmentVenvProvider(Provider):
    """Resolves, locks and builds an environment, or takes the one that is there already.

    Environments are kept when the resource is deleted: others may share them, and they are a cache.
    """

    outputs = frozenset({"path", "digest", "packages"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["name"], outs=_build(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_build(_news))

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not venv.is_usable(Path(outputs["path"]))


def _build(props: dict[str, Any]) -> dict[str, Any]:
    environment = declared_environment(props["name"], props.get("clone"), props["pipPackages"])
    built = venv.build(environment, root=Path(props["root"]), triton=props["triton"], gpu=props["gpu"], progress=say)
    return {**props, "path": str(built.path), "digest": built.digest, "packages": built.lock.packages}


class EnvironmentVenv(Resource, module="triton", name="EnvironmentVenv"):
    """A built environment: its folder, its digest and its locked packages."""

    path: pulumi.Output[str]
    digest: pulumi.Output[str]
    packages: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = EnvironmentVenvProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
