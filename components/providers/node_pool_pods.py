"""The replicas' pods on a node pool: made and ended by Kubernetes, which this stack waits for when it goes."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from components.providers.base import Provider
from components.providers.node_pool_cluster import cluster_of
from targets.node_pool.rollout import RolloutError, await_gone

__all__ = ["NodePoolPods"]


class NodePoolPodsProvider(Provider):
    """Makes nothing. Deleted after the Deployment that needs it, it waits until the Deployment's pods have ended."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(id_=f"{props['namespace']}/{props['service']}", outs=props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        namespace, name, seconds = _props["namespace"], _props["service"], int(_props["graceSeconds"])
        cluster = cluster_of(_props)
        if not await_gone(cluster, namespace, name, _props["labels"], seconds):
            raise RolloutError(
                f"pods of {name} in the namespace {namespace} have not ended after {seconds} s; "
                "kubectl describe pods says why, a node that is lost for example"
            )


class NodePoolPods(Resource, module="triton", name="NodePoolPods"):
    """Pods with the given labels."""

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(NodePoolPodsProvider(), name, inputs, opts)
