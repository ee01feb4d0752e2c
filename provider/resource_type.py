"""What a type of resource is: its inputs and outputs, and what is done when it comes, changes and goes."""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from settings.schema import Target
from targets.contract import machine_targets

__all__ = ["TYPES", "IncompleteError", "ResourceType", "Say", "resource_type", "token"]

Say = Callable[[str], None]
"""Shows a line of progress beside the resource."""


I = TypeVar("I", bound=BaseModel)  # noqa: E741
O = TypeVar("O", bound=BaseModel)  # noqa: E741


class IncompleteError(Exception):
    """A resource that exists but is not as it was declared: it goes into the state, and the next update mends it."""

    def __init__(self, reason: str, outputs: BaseModel) -> None:
        super().__init__(reason)
        self.outputs = outputs


class ResourceType(Generic[I, O]):
    """A type of resource.

    Its methods run in a thread each, and block as long as their work takes. An exception's text is what people read.

    Attributes:
        inputs: The model of what a program declares.
        outputs: The model of what the provider adds. A field of the same name replaces the input in the state.
        ignored: Inputs that may change with nothing to do, such as where a file lies whose content is compared.
    """

    inputs: type[I]
    outputs: type[O]
    ignored: frozenset[str] = frozenset()

    def id(self, inputs: I) -> str:
        """Name a new resource."""
        raise NotImplementedError

    def check(self, inputs: I) -> None:
        """Refuse inputs that are known while they are planned, by raising: before anything is made or changed."""

    def create(self, inputs: I, say: Say) -> O:
        """Make what is declared.

        Raises:
            IncompleteError: What was made exists, but is not as declared.
        """
        raise NotImplementedError

    def update(self, old: I, known: O, new: I, say: Say) -> O:
        """Change what `old` declared, and of which `known` is known, into what `new` declares."""
        return self.create(new, say)

    def read(self, inputs: I, known: O, say: Say) -> O:
        """Measure what is there."""
        return known

    def delete(self, inputs: I, known: O, say: Say) -> None:
        """Remove what is there; nothing happens where nothing is."""

    def drifted(self, inputs: I, known: O) -> frozenset[str]:
        """List the outputs that are no longer as known although no input changed: the next update restores them."""
        return frozenset()

    def check_update(self, old: I, known: O, new: I) -> None:
        """Refuse an update while it is planned, by raising."""


def token(target: Target, part: str) -> str:
    """Name the type of a part of a service on a target of this machine, such as `triton:index:ProcessService`."""
    return f"triton:index:{_name(target, part)}"


def _name(target: Target, part: str) -> str:
    return f"{target.value.title().replace('-', '')}{part}"


_OF_THIS_MACHINE = {"Service": "ServiceType", "FrontDoor": "FrontDoorType"}
_OTHERS = {
    "AccessKey": "access_key:AccessKeyType",
    "EnvironmentContext": "environment_context:EnvironmentContextType",
    "EnvironmentVenv": "environment_venv:EnvironmentVenvType",
    "NodePoolAddress": "node_pool_address:NodePoolAddressType",
    "NodePoolCanary": "node_pool_canary:NodePoolCanaryType",
    "NodePoolCheck": "node_pool_check:NodePoolCheckType",
    "NodePoolCluster": "node_pool_cluster:NodePoolClusterType",
    "NodePoolPods": "node_pool_pods:NodePoolPodsType",
    "NodePoolRollout": "node_pool_rollout:NodePoolRolloutType",
    "RegisteredModel": "registered_model:RegisteredModelType",
    "ServiceContext": "service_context:ServiceContextType",
    "ServiceVersion": "service_version:ServiceVersionType",
    "SmokeCheck": "smoke_check:SmokeCheckType",
}
TYPES: dict[str, tuple[str, tuple[Target, ...]]] = {
    **{name: (where, ()) for name, where in _OTHERS.items()},
    **{
        _name(target, part): (f"machine_service:{class_name}", (target,))
        for target in machine_targets()
        for part, class_name in _OF_THIS_MACHINE.items()
    },
}
"""Every type by its name: module and class in `provider.resources`, imported when needed, and the class's arguments."""

_IMPORTING = threading.Lock()
"""Requests come in threads. Where two import at once, Python may give one of them a module that is half-way."""


def resource_type(name: str) -> ResourceType[Any, Any]:
    """The type of resource `triton:index:<name>`.

    Raises:
        KeyError: There is no such type.
    """
    where, arguments = TYPES[name]
    module, _, class_name = where.partition(":")
    with _IMPORTING:
        imported = import_module(f"provider.resources.{module}")
    made: ResourceType[Any, Any] = getattr(imported, class_name)(*arguments)
    return made
