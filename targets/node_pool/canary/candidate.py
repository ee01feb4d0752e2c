"""A candidate's objects in the cluster, and the replicas that serve beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from targets.errors import ServiceError
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.failure import NONE_SERVES
from targets.node_pool.cluster.fallback import REVISION, is_fallen_back
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import CANDIDATE, GENERATION_ANNOTATION, Names
from targets.node_pool.rendering import Manifest
from targets.node_pool.rollout import Rollout, RolloutError, await_gone, await_rollout
from targets.node_pool.service import await_measured
from targets.role import Role

__all__ = ["Candidate", "Live", "remove_candidate"]


@dataclass(frozen=True)
class Live:
    """A Deployment as the cluster has it.

    Attributes:
        generation: The digest of what its pods are, "" where nobody wrote it down.
        number: Kubernetes' number of it.
        ready: How many replicas are ready.
        servers: The names of a pod's containers that answer clients.
    """

    generation: str
    number: int
    ready: int
    servers: frozenset[str]

    @classmethod
    def of(cls, cluster: Cluster, namespace: str, name: str) -> Self | None:
        """Read a Deployment; None where there is none, or it is being deleted."""
        found = cluster.get("deployments", namespace, name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return None
        annotations = found["metadata"].get("annotations", {})
        return cls(
            generation="" if is_fallen_back(found) else annotations.get(GENERATION_ANNOTATION, ""),
            number=int(annotations.get(REVISION, 1)),
            ready=int(found.get("status", {}).get("readyReplicas", 0)),
            servers=servers(found),
        )


def servers(deployment: Manifest) -> frozenset[str]:
    """Name the containers of a Deployment's pods that answer clients."""
    pod = deployment["spec"]["template"]["spec"]
    names = {one["name"] for one in [*pod.get("initContainers", []), *pod["containers"]]}
    return frozenset(names - {str(Role.RECORDER)})


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The second generation of a service.

    Attributes:
        cluster: The cluster.
        names: The service's names.
        generation: The digest of what its pods are.
        objects: Its objects (`objects.candidate`), the Deployment last.
        needs: How many replicas it has.
        provision, startup, grace: How long its replicas may take to find a node, to start, and to end.
    """

    cluster: Cluster
    names: Names
    generation: str
    objects: Sequence[Manifest]
    needs: Needs
    provision: int
    startup: int
    grace: int

    @property
    def servers(self) -> frozenset[str]:
        """Name the containers of its pods that answer clients."""
        return servers(self.objects[-1])

    def live(self) -> Live | None:
        """Read the candidate that is there, of whatever generation."""
        return Live.of(self.cluster, self.names.namespace, self.names.candidate)

    def start(self, say: Callable[[str], None]) -> None:
        """Make the objects, and wait until its replicas passed their probes and its Service knows them.

        The other objects belong to the Deployment, and Kubernetes removes them with it.

        Raises:
            RolloutError: Why they did not.
        """
        *others, deployment = self.objects
        marked = {**deployment["metadata"].get("annotations", {}), GENERATION_ANNOTATION: self.generation}
        self.cluster.apply({**deployment, "metadata": {**deployment["metadata"], "annotations": marked}})
        owner = self.owner()
        for manifest in others:
            self.cluster.apply({**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}})
        rollout = Rollout(
            self.names.namespace, self.names.candidate, self.provision, self.startup, grace=0, needs=self.needs
        )
        try:
            await_rollout(self.cluster, rollout, say)
            await_measured(self.cluster, rollout.namespace, rollout.name, self.needs, say)
        except RolloutError as error:
            raise RolloutError(str(error).replace(NONE_SERVES, "the version of before serves on")) from None

    def owner(self) -> Manifest:
        """Refer to the Deployment that is there as the owner of other objects.

        Raises:
            RolloutError: There is none.
        """
        made = self.cluster.get("deployments", self.names.namespace, self.names.candidate)
        if made is None:
            raise RolloutError(f"somebody deleted the Deployment {self.names.candidate} while it was needed")
        metadata = made["metadata"]
        return {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}

    def remove(self) -> None:
        """Remove the candidate that is there; see `remove_candidate`."""
        remove_candidate(self.cluster, self.names, self.grace)


def remove_candidate(cluster: Cluster, names: Names, grace: int) -> None:
    """Delete a candidate's objects, and wait until the pods ended: what they hold, GPUs say, is free then.

    Raises:
        ServiceError: They did not end within `grace` seconds.
    """
    cluster.delete("deployments", names.namespace, names.candidate)
    if not await_gone(cluster, names.namespace, names.candidate, names.selector(CANDIDATE), grace):
        raise ServiceError(
            f"pods of {names.candidate} in the namespace {names.namespace} have not ended after {grace} s; "
            "kubectl describe pods says why, a node that is lost for example"
        )
