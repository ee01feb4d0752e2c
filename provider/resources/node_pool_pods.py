"""The replicas' pods on a node pool: made and ended by Kubernetes, which this stack waits for when it goes."""

from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say
from provider.resources.node_pool_place import CREDENTIAL, Place
from targets.node_pool.rollout import RolloutError, await_gone

__all__ = ["NodePoolPods", "NodePoolPodsType"]


class Inputs(Place):
    """The pods of `service` that have `labels`; they end within `grace_seconds`."""

    service: str
    labels: dict[str, str]
    grace_seconds: int


class Outputs(Part):
    """Nothing."""


class NodePoolPodsType(ResourceType[Inputs, Outputs]):
    """Makes nothing. Deleted after the Deployment that needs it, it waits until the Deployment's pods have ended."""

    inputs, outputs = Inputs, Outputs
    ignored = CREDENTIAL

    def id(self, inputs: Inputs) -> str:
        return f"{inputs.namespace}/{inputs.service}"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        return Outputs()

    def delete(self, inputs: Inputs, known: Outputs, say: Say) -> None:
        seconds = inputs.grace_seconds
        if not await_gone(inputs.open(), inputs.namespace, inputs.service, inputs.labels, seconds):
            raise RolloutError(
                f"pods of {inputs.service} in the namespace {inputs.namespace} have not ended after {seconds} s; "
                "kubectl describe pods says why, a node that is lost for example"
            )


class NodePoolPods(Declaration):
    """Pods with the given labels."""

    Inputs, Outputs = Inputs, Outputs
