"""The rollout of a service's replicas on a node pool."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.providers.base import Provider, say
from node_pool.cluster import Cluster
from node_pool.watch import Rollout, await_rollout, measure

__all__ = ["NodePoolRollout"]


class NodePoolRolloutProvider(Provider):
    """Waits until the replicas of a Deployment that changed are ready, and fails with the reason why they are not.

    Kubernetes keeps the old replicas as long as the new ones are not ready, and where they had to stop first they are
    started again: see `node_pool.fallback`. One that a refresh found unhealthy is awaited again by the next `up`.
    """

    outputs = frozenset({"state", "problems"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=f"{props['namespace']}/{props['deployment']}", outs=_await(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_await(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        state, problems = measure(Cluster(props["context"]), props["namespace"], props["deployment"])
        if state != "Healthy":
            say(f"{props['deployment']} is {state}: {'; '.join(problems)}")
        return ReadResult(id_, {**props, "state": state, "problems": problems})

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        return outputs.get("state") != "Healthy"


def _await(props: dict[str, Any]) -> dict[str, Any]:
    rollout = Rollout(
        namespace=props["namespace"],
        name=props["deployment"],
        provision=int(props["provisionSeconds"]),
        startup=int(props["startupSeconds"]),
        grace=int(props["graceSeconds"]),
        sleeps=bool(props.get("sleeps")),
    )
    await_rollout(Cluster(props["context"]), rollout, say)
    return {**props, "state": "Healthy", "problems": []}


class NodePoolRollout(Resource, module="triton", name="NodePoolRollout"):
    """Replicas that became ready; `state` is measured."""

    state: pulumi.Output[str]
    problems: pulumi.Output[list[str]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = NodePoolRolloutProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
