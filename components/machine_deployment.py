"""What the front door and the check need of a deployment on this machine, be it processes or containers."""

from abc import abstractmethod
from typing import Any, Protocol

import pulumi

__all__ = ["FrontDoor", "MachineDeployment"]


class FrontDoor(Protocol):
    """Envoy on this machine; `state` is measured, `metrics_port` leads to all metrics."""

    state: pulumi.Output[str]
    metrics_port: pulumi.Output[int]


class MachineDeployment(pulumi.ComponentResource):
    """A deployment on this machine; `state` is measured of what is behind the front door.

    `generation` changes with what is served. `shape` lists who serves: `triton`, `scorer` or both.
    """

    state: pulumi.Output[str]
    generation: pulumi.Output[dict[str, Any]]
    shape: pulumi.Output[list[str]]

    @abstractmethod
    def front_door(self, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> FrontDoor:
        """Declare Envoy in front of this deployment."""
