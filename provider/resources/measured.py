"""What services of one machine share, be they processes or containers: steps of Pulumi that become rollouts."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

from common.part import Part
from provider.place import here
from provider.resource_type import IncompleteError, ResourceType, Say
from targets.errors import ServiceError
from targets.machine.service_folder import ServiceFolder, renaming
from targets.machine.specification import ServiceSpec
from targets.state import Measured, State

__all__ = ["FrontDoorOutputs", "FrontDoorType", "ServiceOutputs", "ServiceType"]


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


I = TypeVar("I", bound=Any)  # noqa: E741
O = TypeVar("O", bound=MeasuredOutputs)  # noqa: E741


class MeasuredType(ResourceType[I, O], Generic[I, O]):
    """Something of a service on this machine: brought to its declaration, measured and removed.

    What is found stopped or unhealthy differs from its declaration: the next `up` restores it.
    """

    @abstractmethod
    def apply(self, inputs: I, say: Say) -> dict[str, Any]:
        """Bring it to its declaration, and give the outputs that are known then."""

    @abstractmethod
    def holder(self, inputs: I) -> str:
        """The stack that has it: this one, another that took it over, or "" where nobody has."""

    @abstractmethod
    def found(self, inputs: I) -> Measured:
        """Look at it."""

    @abstractmethod
    def remove(self, inputs: I, say: Say) -> None:
        """Stop it and remove what it has; nothing happens where there is nothing."""

    @abstractmethod
    def called(self, inputs: I) -> str:
        """What people call it."""

    def id(self, inputs: I) -> str:
        return str(inputs.service_name)

    def create(self, inputs: I, say: Say) -> O:
        try:
            return self._applied(inputs, say)
        except ServiceError as error:
            if self.holder(inputs) != inputs.owner:
                raise
            # Something of it is there: the state must know, so that it is mended or removed.
            raise IncompleteError(str(error), self.outputs(**self._measured(inputs))) from error

    def update(self, old: I, known: O, new: I, say: Say) -> O:
        outputs = self._applied(new, say)
        if here(old.state_directory) != here(new.state_directory):
            self.remove(old, say)
        return outputs

    def read(self, inputs: I, known: O, say: Say) -> O:
        measured = self._measured(inputs)
        if measured["state"] is not State.HEALTHY:
            say(f"{self.called(inputs)} is {measured['state']}: {'; '.join(measured['problems'])}")
        return known.model_copy(update=measured)

    def delete(self, inputs: I, known: O, say: Say) -> None:
        self.remove(inputs, say)

    def drifted(self, inputs: I, known: O) -> frozenset[str]:
        return frozenset() if self._measured(inputs)["state"] is known.state is State.HEALTHY else frozenset({"state"})

    def _applied(self, inputs: I, say: Say) -> O:
        known = self.apply(inputs, say)
        return self.outputs(**self._measured(inputs), **known)

    def _measured(self, inputs: I) -> dict[str, Any]:
        holder = self.holder(inputs)
        taken = f"the stack {holder} has it now; `make up` takes it back where deployment.overwrite is true"
        measured = self.found(inputs) if holder in ("", inputs.owner) else Measured(State.STOPPED, (taken,))
        return {"state": measured.state, "problems": list(measured.problems)}


S = TypeVar("S", bound=ServiceSpec)


class ServiceType(MeasuredType[S, ServiceOutputs], Generic[S]):
    """A service, rolled out."""

    outputs = ServiceOutputs

    @abstractmethod
    def folder(self, state_directory: Path, name: str) -> ServiceFolder:
        """The folder in which the service keeps its files."""

    def update(self, old: S, known: ServiceOutputs, new: S, say: Say) -> ServiceOutputs:
        former, name, directory = old.service_name, new.service_name, here(new.state_directory)
        if former == name:
            return super().update(old, known, new, say)
        with renaming(self.folder(directory, former), self.folder(directory, name), former, name):
            return super().update(old, known, new, say)

    def called(self, inputs: S) -> str:
        return inputs.service_name


class FrontDoorType(MeasuredType[I, FrontDoorOutputs], Generic[I]):
    """A service's front door, opened and changed."""

    outputs = FrontDoorOutputs

    def called(self, inputs: I) -> str:
        return f"the front door of {inputs.service_name}"
