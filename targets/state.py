"""The state of a service: measured of what serves and of the front door, and of both together."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Measured", "State", "overall"]


class State(str, Enum):
    """How a service, or a part of it, was found. Its text is what Pulumi's state, outputs and people get."""

    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    STOPPED = "Stopped"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def of(cls, problems: Iterable[object]) -> "State":
        """Give the state of what runs with these problems."""
        return cls.UNHEALTHY if any(True for _ in problems) else cls.HEALTHY


@dataclass(frozen=True)
class Measured:
    """A state as it was found, and what is wrong."""

    state: State
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, problems: Iterable[str]) -> "Measured":
        """Give the state of what runs, by what is wrong with it."""
        found = tuple(problems)
        return cls(State.of(found), found)


def overall(serving: str, front_door: str) -> State:
    """Give the state of a service by the states, or their texts, of what serves and of its front door.

    Clients need both.
    """
    if serving == State.HEALTHY and front_door != State.HEALTHY:
        return State.UNHEALTHY
    return State(serving)
