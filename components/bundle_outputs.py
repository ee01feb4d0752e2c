"""What a service needs to know of a registered bundle."""

from typing import Any

import pulumi

__all__ = ["BundleOutputs"]


class BundleOutputs:
    """The outputs of a `ModelBundle`, be it declared in this program or referred to from another one's.

    Attributes:
        model_id: `name:version`.
        name: The registered model's name.
        version: The version that the content got.
        digest: The content's digest.
        path: Where its files are.
        framework: Who serves it.
        models: Its models, with versions and platform.
        registry: The registry's URL, or the absolute path of its folder.
        setting: The entry of `models` in a stack's file that means this bundle.
    """

    NAMES = ("modelId", "name", "version", "digest", "path", "framework", "models", "registry", "setting")

    model_id: pulumi.Output[str]
    name: pulumi.Output[str]
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    path: pulumi.Output[str]
    framework: pulumi.Output[str]
    models: pulumi.Output[list[dict[str, Any]]]
    registry: pulumi.Output[str]
    setting: pulumi.Output[Any]

    def plain(self, output: str) -> pulumi.Input[Any]:
        """Give an output: as a plain value where the program knows it already."""
        return getattr(self, output)

    @property
    def summary(self) -> pulumi.Output[dict[str, Any]]:
        """The bundle for people and other stacks: its id and digest, its models with versions and platform."""
        return pulumi.Output.all(modelId=self.model_id, digest=self.digest, models=self.models)

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
