"""The rollout of a service's replicas on a node pool."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.providers.base import Provider, say
from components.providers.node_pool_cluster import cluster_of
from targets.node_pool.cluster.owners import check_holder, holder_of
from targets.node_pool.needs import Needs
from targets.node_pool.rollout import Rollout, await_rollout
from targets.node_pool.service import await_measured, measure

__all__ = ["NodePoolRollout"]


class NodePoolRolloutProvider(Provider):
    """Waits until the replicas of a Deployment that changed are ready, and fails with the reason why they are not.

    Kubernetes keeps the old replicas as long as the new ones are not ready, and where they had to stop first they are
    started again: see `targets.node_pool.cluster.fallback`. What is found unhealthy is awaited again by the next `up`.

    It is deleted before the objects: where they are in another cluster, or another stack has them now, it refuses.
    """

    outputs = frozenset({"state", "problems"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=f"{props['namespace']}/{props['deployment']}", outs=_await(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_await(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        state, problems = _measure(props)
        if state != "Healthy":
            say(f"{props['deployment']} is {state}: {'; '.join(problems)}")
        return ReadResult(id_, {**props, "state": state, "problems": problems})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        check_holder(cluster_of(_props), _props["namespace"], _props["deployment"], _props.get("owner", ""))

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return not _measure(outputs)[0] == outputs.get("state") == "Healthy"


def _measure(props: Mapping[str, Any]) -> tuple[str, list[str]]:
    cluster, where = cluster_of(props), (props["namespace"], props["deployment"])
    holder = holder_of(cluster, *where)
    if holder and holder != props.get("owner", holder):
        return "Stopped", [f"the stack {holder} has it now; make up takes it back where deployment.overwrite is true"]
    return measure(cluster, *where, Needs.model_validate(props.get("needs", {})))


def _await(props: dict[str, Any]) -> dict[str, Any]:
    rollout = Rollout(
        namespace=props["namespace"],
        name=props["deployment"],
        provision=int(props["provisionSeconds"]),
        startup=int(props["startupSeconds"]),
        grace=int(props["graceSeconds"]),
        needs=Needs.model_validate(props.get("needs", {})),
    )
    cluster = cluster_of(props)
    await_rollout(cluster, rollout, say)
    state, problems = await_measured(cluster, rollout.namespace, rollout.name, rollout.needs, say)
    return {**props, "state": state, "problems": problems}


class NodePoolRollout(Resource, module="triton", name="NodePoolRollout"):
    """Replicas that became ready; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = NodePoolRolloutProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
