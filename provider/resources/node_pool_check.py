"""The check of a service on a node pool."""

import pulumi

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.node_pool_place import CREDENTIAL, Place
from targets.node_pool.check import FrontDoorPlace, check_through
from targets.node_pool.cluster.owners import check_holder
from targets.smoke_check import Questions

__all__ = ["NodePoolCheck", "NodePoolCheckType"]


class Inputs(Place, Questions):
    """The front door, what is asked, and what calls for asking anew: the settings' digest, and what serves.

    Attributes:
        generation: The declared generation, which the questions are about.
        serving: The generation of the replicas; another one while the declared one has a share of the traffic at most.
    """

    service: str
    container_port: int
    scheme: str
    address: str
    sleeps: bool
    patience_seconds: int
    settings: str
    generation: str
    serving: str = ""


class Outputs(Part):
    """How many things were asked."""

    checks: int


class NodePoolCheckType(ResourceType[Inputs, Outputs]):
    """A check that runs when the resource is made and whenever one of its inputs changed."""

    inputs, outputs = Inputs, Outputs
    # Where a load balancer is reached says nothing about what is behind it.
    ignored = frozenset({"address"}) | CREDENTIAL

    def id(self, inputs: Inputs) -> str:
        return "smoke-check"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        if inputs.serving not in ("", inputs.generation):
            say("the version of before serves: the declared one is checked here once it has all of the traffic")
            return Outputs(checks=0)
        door = FrontDoorPlace(
            namespace=inputs.namespace,
            service=inputs.service,
            port=inputs.container_port,
            scheme=inputs.scheme,
            address=inputs.address,
            sleeps=inputs.sleeps,
            patience=inputs.patience_seconds,
        )
        return Outputs(checks=check_through(inputs.open, door, inputs, say))

    def delete(self, inputs: Inputs, known: Outputs, say: Say) -> None:
        """Refuse what must not be destroyed: it is deleted before everything that it checks."""
        check_holder(inputs.open(), inputs.namespace, inputs.service, inputs.owner)


class NodePoolCheck(Declaration):
    """The check of a deployed service; its inputs name everything whose change calls for another one."""

    Inputs, Outputs = Inputs, Outputs
    checks: pulumi.Output[int]
