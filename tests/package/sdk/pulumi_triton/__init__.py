"""A stand-in for the SDK that Pulumi's CLI generates from the package's schema: its three components alone."""

from typing import Any

import pulumi
from pydantic.alias_generators import to_camel

__all__ = ["ModelBundle", "TritonEnvironment", "TritonService"]


def _on_the_wire(value: Any) -> Any:
    return {to_camel(name): item for name, item in value.items()} if isinstance(value, dict) else value


class _Component(pulumi.ComponentResource):
    outputs: tuple[str, ...] = ()

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        plain = ("tags", "variables")
        props = {to_camel(key): value if key in plain else _on_the_wire(value) for key, value in inputs.items()}
        props |= {output: None for output in self.outputs if output not in props}
        super().__init__(f"triton:index:{type(self).__name__}", name, props, opts, remote=True)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__[to_camel(name)]
        except KeyError:
            raise AttributeError(name) from None


class ModelBundle(_Component):
    outputs = ("modelId", "name", "version", "digest", "path", "framework", "models", "registry", "setting")


class TritonEnvironment(_Component):
    outputs = ("name", "setting")


class TritonService(_Component):
    outputs = ("scoringUri", "tritonUri", "metricsUri", "state", "primaryKey", "secondaryKey", "modelId")
