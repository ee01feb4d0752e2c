"""A new generation beside the serving one on a node pool, before the replicas change."""

import json
from pathlib import Path

import pulumi
from pydantic import TypeAdapter

from common.part import Part
from gateway.front_door_options import Options as DoorOptions
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.node_pool_place import CREDENTIAL, Place
from settings.service_groups import RolloutPlan
from targets.node_pool.canary.candidate import Candidate, remove_candidate
from targets.node_pool.canary.rollout import CanaryRollout, Found, measured
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.cluster.owners import holder_of
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import Names
from targets.node_pool.service import measure
from targets.state import State

__all__ = ["DOOR", "NodePoolCanary", "NodePoolCanaryType"]

DOOR: TypeAdapter[DoorOptions] = TypeAdapter(DoorOptions)


class Inputs(Place):
    """A generation, how it takes over the traffic, and what that needs.

    Attributes:
        service: The service's name.
        generation: The digest of what its pods are.
        objects: The objects of a candidate (`objects.candidate`), as JSON.
        door: The options of each Envoy (`DOOR`), as JSON.
        rollout: The steps, or the share that stays.
        needs: How many replicas a candidate has, and its Service.
        provision_seconds, startup_seconds, grace_seconds: The times of a replica.
        reports: The folder of the rollouts' records on this machine.
    """

    service: str
    generation: str
    objects: str
    door: str
    rollout: RolloutPlan
    needs: Needs
    provision_seconds: int
    startup_seconds: int
    grace_seconds: int
    reports: Path = Path()


class Outputs(Part):
    """Who has the traffic as it was found, and what is wrong with a candidate."""

    serving: str
    candidate: str
    weight: int
    state: str = State.HEALTHY
    problems: list[str] = []


class NodePoolCanaryType(ResourceType[Inputs, Outputs]):
    """A generation that took the steps of its rollout, or stays at its share of the traffic.

    The replicas' Deployment comes after it. A candidate that nobody declared is taken back by the next `up`.
    """

    inputs, outputs = Inputs, Outputs
    ignored = CREDENTIAL | {"reports"}

    def id(self, inputs: Inputs) -> str:
        return f"{inputs.namespace}/{inputs.service}"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        cluster = inputs.open()
        names = _names(inputs)
        candidate = Candidate(
            cluster=cluster,
            names=names,
            generation=inputs.generation,
            objects=json.loads(inputs.objects),
            needs=inputs.needs,
            provision=inputs.provision_seconds,
            startup=inputs.startup_seconds,
            grace=inputs.grace_seconds,
        )
        found = CanaryRollout(
            cluster=cluster,
            names=names,
            owner=inputs.owner,
            candidate=candidate,
            door=DOOR.validate_json(inputs.door),
            rollout=inputs.rollout,
            reports=inputs.reports,
            say=say,
        ).apply()
        return _outputs(cluster, inputs, found)

    def read(self, inputs: Inputs, known: Outputs, say: Say) -> Outputs:
        cluster = inputs.open()
        found = _outputs(cluster, inputs, measured(cluster, _names(inputs)))
        if found.candidate:
            say(f"the candidate has {found.weight} % of the traffic and is {found.state}")
        for problem in found.problems:
            say(problem)
        return found.model_copy(update={"serving": found.serving or known.serving})

    def delete(self, inputs: Inputs, known: Outputs, say: Say) -> None:
        cluster, names = inputs.open(), _names(inputs)
        holder = holder_of(cluster, inputs.namespace, names.candidate) or holder_of(
            cluster, inputs.namespace, names.service
        )
        if holder in ("", inputs.owner):  # another stack that took the service over has its own candidate
            cluster.delete("configmaps", inputs.namespace, names.shares)
            remove_candidate(cluster, names, inputs.grace_seconds)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        cluster = inputs.open()
        found = _outputs(cluster, inputs, measured(cluster, _names(inputs)))
        return frozenset(
            name for name in ("candidate", "weight", "state") if getattr(found, name) != getattr(known, name)
        )


def _names(inputs: Inputs) -> Names:
    return Names(inputs.service, inputs.namespace)


def _outputs(cluster: Cluster, inputs: Inputs, found: Found) -> Outputs:
    """Describe what was found; a candidate is measured as the replicas are."""
    if not found.candidate:
        return Outputs(serving=found.serving, candidate="", weight=found.weight)
    state, problems = measure(cluster, inputs.namespace, _names(inputs).candidate, inputs.needs)
    return Outputs(
        serving=found.serving, candidate=found.candidate, weight=found.weight, state=state, problems=problems
    )


class NodePoolCanary(Declaration):
    """Who has the traffic before the replicas change; `serving` is who has it afterwards."""

    Inputs, Outputs = Inputs, Outputs
    serving: pulumi.Output[str]
    candidate: pulumi.Output[str]
    weight: pulumi.Output[int]
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
