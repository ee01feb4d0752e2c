"""The cluster of a service on a node pool: the stack keeps its identity, and takes no other one for it."""

import pulumi

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from targets.node_pool.cluster.identity import Identity, expected_cluster, identity

__all__ = ["NodePoolCluster", "NodePoolClusterType"]


class Inputs(Part):
    """The kubeconfig's `context` as the settings have it ("": the current one), and its `name`."""

    context: str
    name: str


class Outputs(Part):
    """The cluster's `uid`, with `context` and `server`."""

    identity: dict[str, str]


class NodePoolClusterType(ResourceType[Inputs, Outputs]):
    """Makes nothing. Every verb that meets it fails where the kubeconfig leads to another cluster."""

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return identity(expected_cluster(inputs.context, None)).uid

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        return Outputs(identity=identity(expected_cluster(inputs.context, None)).as_json())

    def check_update(self, old: Inputs, known: Outputs, new: Inputs) -> None:
        expected_cluster(new.context, known.identity)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        found = identity(expected_cluster(inputs.context, known.identity))
        return frozenset() if found == Identity(**known.identity) else frozenset({"identity"})

    def update(self, old: Inputs, known: Outputs, new: Inputs, say: Say) -> Outputs:
        return _found(new, known)

    def read(self, inputs: Inputs, known: Outputs, say: Say) -> Outputs:
        return _found(inputs, known)


def _found(inputs: Inputs, known: Outputs) -> Outputs:
    return Outputs(identity=identity(expected_cluster(inputs.context, known.identity)).as_json())


class NodePoolCluster(Declaration):
    """The cluster of a kubeconfig's context."""

    Inputs, Outputs = Inputs, Outputs
    identity: pulumi.Output[dict[str, str]]
