"""A service and its front door on this machine, whatever the target: steps of Pulumi that become rollouts."""

from typing import Any, Generic, TypeVar

import pulumi

from common.errors import UserError
from common.part import Part
from provider.declaration import Declaration
from provider.program_folder import here
from provider.resource_type import IncompleteError, ResourceType, Say, token
from settings.schema import Target
from targets.contract import machine_target
from targets.machine.service_folder import renaming
from targets.machine_target import MachinePart
from targets.state import Measured, State

__all__ = ["FrontDoorType", "MachineFrontDoor", "MachineService", "ServiceType"]


class MeasuredOutputs(Part):
    """A state as it was found, `Healthy`, `Unhealthy` or `Stopped`, and what is wrong."""

    state: State
    problems: list[str]


class ServiceOutputs(MeasuredOutputs):
    """`generation` changes with what serves."""

    generation: dict[str, Any] = {}


class FrontDoorOutputs(MeasuredOutputs):
    """`metrics_port` leads to all metrics."""

    metrics_port: int = 0


O = TypeVar("O", bound=MeasuredOutputs)  # noqa: E741


class MeasuredType(ResourceType[Any, O], Generic[O]):
    """Something of a service on this machine: brought to its declaration, measured and removed.

    What is found stopped or unhealthy differs from its declaration: the next `up` restores it.
    """

    part: MachinePart[Any]
    called: str

    def id(self, inputs: Any) -> str:
        return str(inputs.service_name)

    def create(self, inputs: Any, say: Say) -> O:
        try:
            return self._applied(inputs, say)
        except UserError as error:
            if self.part.holder(_here(inputs)) != inputs.owner:
                raise
            # Something of it is there: the state must know, so that it is mended or removed.
            raise IncompleteError(str(error), self.outputs(**self._measured(inputs))) from error

    def update(self, old: Any, known: O, new: Any, say: Say) -> O:
        outputs = self._applied(new, say)
        if here(old.state_directory) != here(new.state_directory):
            self.delete(old, known, say)
        return outputs

    def read(self, inputs: Any, known: O, say: Say) -> O:
        measured = self._measured(inputs)
        if measured["state"] is not State.HEALTHY:
            called = self.called.format(inputs.service_name)
            say(f"{called} is {measured['state']}: {'; '.join(measured['problems'])}")
        return known.model_copy(update=measured)

    def delete(self, inputs: Any, known: O, say: Say) -> None:
        self.part.remove(_here(inputs), say)

    def drifted(self, inputs: Any, known: O) -> frozenset[str]:
        healthy = self._measured(inputs)["state"] is known.state is State.HEALTHY
        return frozenset() if healthy else frozenset({"state"})

    def _applied(self, inputs: Any, say: Say) -> O:
        known = self.part.apply(_here(inputs), say)
        return self.outputs(**self._measured(inputs), **known)

    def _measured(self, inputs: Any) -> dict[str, Any]:
        found = _here(inputs)
        holder = self.part.holder(found)
        taken = f"the stack {holder} has it now; `make up` takes it back where deployment.overwrite is true"
        measured = self.part.measure(found) if holder in ("", inputs.owner) else Measured(State.STOPPED, (taken,))
        return {"state": measured.state, "problems": list(measured.problems)}


class ServiceType(MeasuredType[ServiceOutputs]):
    """A service of a target of this machine, rolled out behind its probe."""

    outputs = ServiceOutputs
    called = "{}"

    def __init__(self, target: Target) -> None:
        self._target = machine_target(target)
        self.part = self._target.service
        self.inputs = self.part.specification

    def update(self, old: Any, known: ServiceOutputs, new: Any, say: Say) -> ServiceOutputs:
        former, name, directory = old.service_name, new.service_name, here(new.state_directory)
        if former == name:
            return super().update(old, known, new, say)
        with renaming(self._target.folder(directory, former), self._target.folder(directory, name), former, name):
            return super().update(old, known, new, say)

    def drifted(self, inputs: Any, known: ServiceOutputs) -> frozenset[str]:
        if self.part.is_outdated(inputs, known.generation):
            return frozenset({"generation"})
        return super().drifted(inputs, known)


class FrontDoorType(MeasuredType[FrontDoorOutputs]):
    """The front door of a service of this machine: Envoy, opened and changed."""

    outputs = FrontDoorOutputs
    called = "the front door of {}"

    def __init__(self, target: Target) -> None:
        self.part = machine_target(target).front_door
        self.inputs = self.part.specification


class MachineService(Declaration):
    """A service of a target of this machine; `state` is measured."""

    Outputs = ServiceOutputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    generation: pulumi.Output[dict[str, Any]]

    def __init__(self, target: Target, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions) -> None:
        self.Inputs = machine_target(target).service.specification
        super().__init__(name, inputs, opts, token=token(target, "Service"))


class MachineFrontDoor(Declaration):
    """Envoy in front of a service of this machine; `state` is measured."""

    Outputs = FrontDoorOutputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
    metrics_port: pulumi.Output[int]

    def __init__(self, target: Target, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions) -> None:
        self.Inputs = machine_target(target).front_door.specification
        super().__init__(name, inputs, opts, token=token(target, "FrontDoor"))


def _here(inputs: Any) -> Any:
    """The inputs with the state directory's path on this machine."""
    return inputs.model_copy(update={"state_directory": here(inputs.state_directory)})
