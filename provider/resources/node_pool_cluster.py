"""The cluster of a service on a node pool: the stack keeps its identity, and takes no other one for it."""

import pulumi

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.node_pool_place import CREDENTIAL, Access
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.errors import ClusterError, CredentialError
from targets.node_pool.cluster.identity import Identity, expected_cluster, identity
from targets.node_pool.cluster.owners import check_owner
from targets.node_pool.object_names import Names

__all__ = ["NodePoolCluster", "NodePoolClusterType"]


class Claim(Part):
    """The names that a service takes in the cluster: `owner` alone may have them."""

    namespace: str
    service: str
    owner: str


class Inputs(Access):
    """The kubeconfig, its `context` as the settings have it ("": the current one) and its `name`, and a `claim`."""

    name: str
    claim: Claim | None = None


class Outputs(Part):
    """The cluster's `uid`, with `context` and `server`."""

    identity: dict[str, str]


class NodePoolClusterType(ResourceType[Inputs, Outputs]):
    """Makes nothing. Every verb that meets it fails where the kubeconfig leads to another cluster.

    A kubeconfig that is given is tried as soon as it is known: the preview tells what is wrong with it.
    """

    inputs, outputs = Inputs, Outputs
    ignored = CREDENTIAL | {"claim"}

    def id(self, inputs: Inputs) -> str:
        return identity(_reached(inputs)).uid

    def check(self, inputs: Inputs) -> None:
        if inputs.kubeconfig is None:
            return
        try:
            cluster = _reached(inputs)
            identity(cluster)
            if claim := inputs.claim:
                check_owner(cluster, Names(claim.service, claim.namespace), claim.owner, overwrite=False)
        except CredentialError:
            raise
        except ClusterError:  # a preview needs no cluster: the update tells of one that does not answer
            return

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        return _found(inputs)

    def check_update(self, old: Inputs, known: Outputs, new: Inputs) -> None:
        _reached(new, known)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        found = identity(_reached(inputs, known))
        return frozenset() if found == Identity(**known.identity) else frozenset({"identity"})

    def update(self, old: Inputs, known: Outputs, new: Inputs, say: Say) -> Outputs:
        return _found(new, known)

    def read(self, inputs: Inputs, known: Outputs, say: Say) -> Outputs:
        return _found(inputs, known)


def _reached(inputs: Inputs, known: Outputs | None = None) -> Cluster:
    return expected_cluster(inputs.context, known.identity if known else None, inputs.credential())


def _found(inputs: Inputs, known: Outputs | None = None) -> Outputs:
    return Outputs(identity=identity(_reached(inputs, known)).as_json())


class NodePoolCluster(Declaration):
    """The cluster of a kubeconfig's context."""

    Inputs, Outputs = Inputs, Outputs
    identity: pulumi.Output[dict[str, str]]
