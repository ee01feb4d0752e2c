"""Stand in for the package's SDK, which `pulumi install` generates from the package with Pulumi's CLI.

It has the three components, and of each the arguments in Python and on the wire.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

__all__ = ["ModelBundle", "TritonEnvironment", "TritonService"]


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _group(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A group of settings as the SDK sends it: by the names on the wire."""
    return None if settings is None else {_camel(name): value for name, value in settings.items()}


class _Component(pulumi.ComponentResource):
    OUTPUTS: Sequence[str] = ()

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        given = {_camel(argument): value for argument, value in inputs.items() if value is not None}
        outputs = {_camel(output): None for output in self.OUTPUTS}
        super().__init__(f"triton:index:{type(self).__name__}", name, {**outputs, **given}, opts, remote=True)
        for output in self.OUTPUTS:
            setattr(self, output, self.__dict__[_camel(output)])


class ModelBundle(_Component):
    """A registered bundle."""

    OUTPUTS = ("model_id",)

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        path: pulumi.Input[str] | None = None,
        tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        description: pulumi.Input[str] | None = None,
    ) -> None:
        super().__init__(resource_name, {"path": path, "tags": tags, "description": description}, opts)


class TritonEnvironment(_Component):
    """An environment."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        clone: pulumi.Input[str] | None = None,
        pip_packages: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        variables: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
    ) -> None:
        super().__init__(resource_name, {"clone": clone, "pip_packages": pip_packages, "variables": variables}, opts)


class TritonService(_Component):
    """A service."""

    OUTPUTS = ("scoring_uri", "triton_uri", "primary_key", "state", "model_id", "port_forward")

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        models: Sequence[ModelBundle],
        environment: TritonEnvironment | None = None,
        entry_script: pulumi.Input[str] | None = None,
        source_directory: pulumi.Input[str] | None = None,
        deployment: Mapping[str, Any] | None = None,
        image: Mapping[str, Any] | None = None,
        node_pool: Mapping[str, Any] | None = None,
        kubeconfig: pulumi.Input[str] | None = None,
    ) -> None:
        inputs = {
            "models": models,
            "environment": environment,
            "entry_script": entry_script,
            "source_directory": source_directory,
            "deployment": _group(deployment),
            "image": _group(image),
            "node_pool": _group(node_pool),
            "kubeconfig": None if kubeconfig is None else pulumi.Output.secret(kubeconfig),
        }
        super().__init__(resource_name, inputs, opts)
