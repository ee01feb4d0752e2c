"""The rollout of a Deployment's replicas on a node pool."""

import pulumi

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.node_pool_place import CREDENTIAL, Place
from targets.node_pool.cluster.owners import check_holder, holder_of
from targets.node_pool.needs import Needs
from targets.node_pool.rollout import Rollout, await_rollout
from targets.node_pool.service import await_measured, measure

__all__ = ["NodePoolRollout", "NodePoolRolloutType"]


class Inputs(Place):
    """The Deployment, what changes with it, and its replicas' times in seconds."""

    deployment: str
    generation: str
    provision_seconds: int
    startup_seconds: int
    grace_seconds: int
    needs: Needs = Needs()


class Outputs(Part):
    """The state as it was found, and what is wrong."""

    state: str
    problems: list[str]


class NodePoolRolloutType(ResourceType[Inputs, Outputs]):
    """Replicas that became ready, or the reason why they are not.

    Kubernetes keeps the old replicas as long as the new ones are not ready, and where they had to stop first they are
    started again: see `targets.node_pool.cluster.fallback`. What is found unhealthy is awaited again by the next `up`.

    It is deleted before the objects: where they are in another cluster, or another stack has them now, it refuses.
    """

    inputs, outputs = Inputs, Outputs
    ignored = CREDENTIAL

    def id(self, inputs: Inputs) -> str:
        return f"{inputs.namespace}/{inputs.deployment}"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        rollout = Rollout(
            namespace=inputs.namespace,
            name=inputs.deployment,
            provision=inputs.provision_seconds,
            startup=inputs.startup_seconds,
            grace=inputs.grace_seconds,
            needs=inputs.needs,
        )
        cluster = inputs.open()
        await_rollout(cluster, rollout, say)
        state, problems = await_measured(cluster, rollout.namespace, rollout.name, rollout.needs, say)
        return Outputs(state=state, problems=problems)

    def read(self, inputs: Inputs, known: Outputs, say: Say) -> Outputs:
        found = _measured(inputs)
        if found.state != "Healthy":
            say(f"{inputs.deployment} is {found.state}: {'; '.join(found.problems)}")
        return found

    def delete(self, inputs: Inputs, known: Outputs, say: Say) -> None:
        check_holder(inputs.open(), inputs.namespace, inputs.deployment, inputs.owner)

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        return frozenset() if _measured(inputs).state == known.state == "Healthy" else frozenset({"state"})


def _measured(inputs: Inputs) -> Outputs:
    cluster = inputs.open()
    holder = holder_of(cluster, inputs.namespace, inputs.deployment)
    if holder and holder != (inputs.owner or holder):
        taken = f"the stack {holder} has it now; make up takes it back where deployment.overwrite is true"
        return Outputs(state="Stopped", problems=[taken])
    state, problems = measure(cluster, inputs.namespace, inputs.deployment, inputs.needs)
    return Outputs(state=state, problems=problems)


class NodePoolRollout(Declaration):
    """Replicas that became ready; `state` is measured."""

    Inputs, Outputs = Inputs, Outputs
    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]
