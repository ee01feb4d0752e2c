"""What services on this machine share, be they processes or containers: how Pulumi's steps become rollouts."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from components.providers.base import Provider, say
from targets.machine.service_folder import ServiceFolder, renaming
from targets.state import Measured, State

__all__ = ["FrontDoorProvider", "ServiceProvider", "here", "state_directory", "where"]

PROJECT = Path(__file__).resolve().parents[2]


def state_directory(project: Path, directory: str) -> str:
    """The state directory as a resource's input: what lies in the project is named from there.

    So a state means what belongs to its own checkout, wherever that was moved, and a copy's state not the original's.
    """
    path = (project / directory).resolve()
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


def here(props: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's inputs with the state directory's path on this machine."""
    return {**props, "stateDirectory": str(PROJECT / props["stateDirectory"])}


def where(props: Mapping[str, Any]) -> tuple[Path, str]:
    """The state directory and the name by which the targets find a service's folder."""
    return PROJECT / props["stateDirectory"], str(props["serviceName"])


class MeasuredProvider(Provider):
    """Brings something of a service to its declaration, measures it and removes it.

    What is found stopped or unhealthy differs from its declaration: the next `up` restores it.
    """

    outputs = frozenset({"state", "problems"})

    @abstractmethod
    def apply(self, props: dict[str, Any]) -> dict[str, Any]:
        """Bring it to its declaration; gives what is known of it then."""

    @abstractmethod
    def holder(self, props: Mapping[str, Any]) -> str:
        """The stack that has what was declared so: this one, another that took it over, or "" where nobody has."""

    @abstractmethod
    def measure(self, props: Mapping[str, Any]) -> Measured:
        """Look at what was declared so."""

    @abstractmethod
    def remove(self, props: Mapping[str, Any]) -> None:
        """Stop what was declared so and remove what it has; nothing happens where there is nothing."""

    @abstractmethod
    def called(self, props: Mapping[str, Any]) -> str:
        """What people call it."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["serviceName"], outs=self._applied(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        outputs = self._applied(_news)
        if where(_olds)[0] != where(_news)[0]:
            self.remove(_olds)
        return UpdateResult(outs=outputs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        measured = self._measured(props)
        if measured["state"] != "Healthy":
            say(f"{self.called(props)} is {measured['state']}: {'; '.join(measured['problems'])}")
        return ReadResult(id_, {**props, **measured})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self.remove(_props)

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not self._measured(outputs)["state"] == outputs.get("state") == "Healthy"

    def _applied(self, props: dict[str, Any]) -> dict[str, Any]:
        known = self.apply(props)
        return {**props, **self._measured(props), **known}

    def _measured(self, props: Mapping[str, Any]) -> dict[str, Any]:
        holder = self.holder(props)
        taken = f"the stack {holder} has it now; `make up` takes it back where deployment.overwrite is true"
        measured = self.measure(props) if holder in ("", props["owner"]) else Measured(State.STOPPED, (taken,))
        return {"state": measured.state, "problems": list(measured.problems)}


class ServiceProvider(MeasuredProvider):
    """Rolls a service out; what is known then is the `generation` that serves."""

    outputs = frozenset({*MeasuredProvider.outputs, "generation"})

    @abstractmethod
    def folder(self, props: Mapping[str, Any]) -> ServiceFolder:
        """The folder in which the service keeps its files."""

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        former, name = _olds["serviceName"], _news["serviceName"]
        if former == name:
            return super().update(_id, _olds, _news)
        with renaming(self.folder({**_news, "serviceName": former}), self.folder(_news), former, name):
            return super().update(_id, _olds, _news)

    def called(self, props: Mapping[str, Any]) -> str:
        return str(props["serviceName"])


class FrontDoorProvider(MeasuredProvider):
    """Opens a service's front door and changes it; what is known then is the port of its metrics, `metricsPort`."""

    outputs = frozenset({*MeasuredProvider.outputs, "metricsPort"})

    def called(self, props: Mapping[str, Any]) -> str:
        return f"the front door of {props['serviceName']}"
