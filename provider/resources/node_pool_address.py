"""The address at which a front door on a node pool is reached from outside, which the cluster's controllers give."""

import pulumi

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.node_pool_place import CREDENTIAL, Place
from targets.node_pool.cluster.way_in import WayIn, await_way_in

__all__ = ["NodePoolAddress", "NodePoolAddressType"]


class Inputs(Place):
    """The front door of `service`, exposed by a load balancer, an Ingress or a Gateway within `seconds`."""

    exposure: str
    service: str
    seconds: int


class Outputs(Part):
    """A load balancer's own address, "" where the controller gives none, and what is wrong with the way in."""

    address: str
    problem: str = ""


class NodePoolAddressType(ResourceType[Inputs, Outputs]):
    """A load balancer, an Ingress's controller or a Gateway, awaited; what was interrupted is awaited anew."""

    inputs, outputs = Inputs, Outputs
    ignored = CREDENTIAL

    def id(self, inputs: Inputs) -> str:
        return f"{inputs.namespace}/{inputs.service}"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        where = inputs.exposure, inputs.namespace, inputs.service
        return Outputs(address=await_way_in(inputs.open(), *where, inputs.seconds, say).address)

    def read(self, inputs: Inputs, known: Outputs, say: Say) -> Outputs:
        found = _measured(inputs)
        if found.problem:
            say(found.problem)
        return found

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        found = _measured(inputs)
        return frozenset() if not found.problem and found.address == known.address else frozenset({"address"})


def _measured(inputs: Inputs) -> Outputs:
    found = WayIn.measure(inputs.open(), inputs.exposure, inputs.namespace, inputs.service)
    return Outputs(address=found.address, problem=found.problem)


class NodePoolAddress(Declaration):
    """A way in from outside that is there."""

    Inputs, Outputs = Inputs, Outputs
    address: pulumi.Output[str]
    problem: pulumi.Output[str]
