"""What services on this machine share, be they processes or containers: how Pulumi's steps become rollouts."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from components.providers.base import Provider, say

__all__ = ["FrontDoorProvider", "ServiceProvider"]


class ServiceProvider(Provider):
    """Rolls a service out, measures it and removes it.

    A service that is found stopped or unhealthy differs from its declaration: the next `up` restores it.
    """

    outputs = frozenset({"state", "problems", "generation"})

    @abstractmethod
    def roll_out(self, props: dict[str, Any]) -> dict[str, Any]:
        """Bring a service to its declaration; gives what identifies the generation that serves then."""

    @abstractmethod
    def measure(self, props: Mapping[str, Any]) -> tuple[str, list[str]]:
        """The state (`Healthy`, `Unhealthy` or `Stopped`) of the service that was declared so, and its problems."""

    @abstractmethod
    def remove(self, props: Mapping[str, Any]) -> None:
        """Stop the service that was declared so and remove what it has; nothing happens where there is none."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["serviceName"], outs=self._apply(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=self._apply(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        measured = self._state(props)
        if measured["state"] != "Healthy":
            say(f"{props['serviceName']} is {measured['state']}: {'; '.join(measured['problems'])}")
        return ReadResult(id_, {**props, **measured})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self.remove(_props)

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not self._state(outputs)["state"] == outputs.get("state") == "Healthy"

    def _apply(self, props: dict[str, Any]) -> dict[str, Any]:
        generation = self.roll_out(props)
        return {**props, **self._state(props), "generation": generation}

    def _state(self, props: Mapping[str, Any]) -> dict[str, Any]:
        state, problems = self.measure(props)
        return {"state": state, "problems": problems}


class FrontDoorProvider(Provider):
    """Opens, changes and closes a service's front door; one that is found closed is opened again."""

    outputs = frozenset({"metricsPort"})

    @abstractmethod
    def open(self, props: dict[str, Any]) -> int:
        """Open the front door or change it; gives the port of its metrics."""

    @abstractmethod
    def is_open(self, props: Mapping[str, Any]) -> bool:
        """Whether the front door that was declared so answers."""

    @abstractmethod
    def close(self, props: Mapping[str, Any]) -> None:
        """Close the front door that was declared so; nothing happens where there is none."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=props["serviceName"], outs={**props, "metricsPort": self.open(props)})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs={**_news, "metricsPort": self.open(_news)})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self.close(_props)

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not self.is_open(outputs)
