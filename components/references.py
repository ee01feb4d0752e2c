"""Components of this package that another program hands over: read from the engine, by their URN."""

from typing import Any

import pulumi
from pulumi.runtime import rpc
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from semver import VersionInfo

from components.bundle_outputs import BundleOutputs
from components.bundle_outputs import Outputs as OutputsOfBundle
from components.triton_environment import Outputs as OutputsOfEnvironment

__all__ = ["BundleReference", "EnvironmentReference", "register"]


class _Reference(pulumi.ComponentResource):
    """A component that the engine knows, with its outputs as attributes by their names in Python."""

    def __init__(self, token: str, name: str, urn: str, outputs: type[BaseModel]) -> None:
        wire = {field: to_camel(field) for field in outputs.model_fields}
        super().__init__(token, name, dict.fromkeys(wire.values()), pulumi.ResourceOptions(urn=urn))
        for field, output in wire.items():
            setattr(self, field, self.__dict__[output])

    def plain(self, output: str) -> pulumi.Input[Any]:
        """Give an output by its name on the wire."""
        return self.__dict__[output]


class BundleReference(_Reference, BundleOutputs):
    """A `ModelBundle` of another program."""

    def __init__(self, name: str, urn: str) -> None:
        super().__init__("triton:index:ModelBundle", name, urn, OutputsOfBundle)


class EnvironmentReference(_Reference):
    """A `TritonEnvironment` of another program."""

    setting: pulumi.Output[Any]

    def __init__(self, name: str, urn: str) -> None:
        super().__init__("triton:index:TritonEnvironment", name, urn, OutputsOfEnvironment)


class _Module(rpc.ResourceModule):
    """Makes references of what comes over the wire."""

    def version(self) -> VersionInfo | None:
        """Take every version."""
        return None

    def construct(self, name: str, typ: str, urn: str) -> pulumi.Resource:
        """Make a reference."""
        if typ == "triton:index:ModelBundle":
            return BundleReference(name, urn)
        if typ == "triton:index:TritonEnvironment":
            return EnvironmentReference(name, urn)
        return pulumi.resource.DependencyResource(urn)


def register() -> None:
    """Have Pulumi make references of this package's components."""
    rpc.register_resource_module("triton", "index", _Module())
