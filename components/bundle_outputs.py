"""What a service needs to know of a registered bundle."""

from abc import abstractmethod
from typing import Any

import pulumi
from pydantic import Field

from bundle.manifest_models import ModelSummary
from common.part import Part
from components.summaries import BundleSummary

__all__ = ["BundleOutputs", "Outputs"]


class Outputs(Part):
    """The outputs of a bundle."""

    model_id: str = Field(description="`name:version`")
    name: str = Field(description="the registered model's name")
    version: int = Field(description="the version that the content got")
    digest: str = Field(description="the content's digest")
    path: str = Field(description="where its files are")
    framework: str = Field(description="who serves it")
    models: list[ModelSummary] = Field(description="its models, with versions and platform")
    registry: str = Field(description="the registry's URL, or the absolute path of its folder")
    setting: Any = Field(description="the entry of `models` in a stack's file that means this bundle")


class BundleOutputs:
    """A registered bundle as a service needs it, be it declared in this program or referred to: see `Outputs`."""

    model_id: pulumi.Output[str]
    name: pulumi.Output[str]
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    path: pulumi.Output[str]
    framework: pulumi.Output[str]
    models: pulumi.Output[list[ModelSummary]]
    registry: pulumi.Output[str]
    setting: pulumi.Output[Any]

    @abstractmethod
    def plain(self, output: str) -> pulumi.Input[Any]:
        """Give an output by its name on the wire: as a plain value where the program knows it already."""

    @property
    def summary(self) -> pulumi.Output[BundleSummary]:
        """The bundle for people and other stacks."""
        return pulumi.Output.all(self.model_id, self.digest, self.models).apply(
            lambda known: BundleSummary(modelId=known[0], digest=known[1], models=known[2])
        )

    @property
    def served(self) -> dict[str, pulumi.Input[Any]]:
        """The bundle as a deployment's input: where it is registered, its content's digest and who serves it."""
        return {
            "registry": self.registry,
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "path": self.path,
            "framework": self.framework,
        }
