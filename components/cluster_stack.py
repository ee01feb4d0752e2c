"""The kubeconfig of another stack, which has the cluster."""

import json
from typing import Any

import pulumi

from settings.schema import Settings

__all__ = ["cluster_kubeconfig", "kubeconfig_text"]


def cluster_kubeconfig(name: str, settings: Settings, opts: pulumi.ResourceOptions) -> pulumi.Output[str] | None:
    """Read the kubeconfig of the stack that the settings name, as a secret; None where they name none.

    Args:
        name: The name of the service's deployment, with which the reference's begins.
        settings: The service's settings.
        opts: Of the reference.
    """
    pool = settings.node_pool
    if pool.cluster_stack is None:
        return None
    # The whole of what that stack exports stays encrypted in this stack's state, also what it forgot to mark.
    hidden = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["outputs"]))
    # The engine tells of a stack that is not there beside the resource's name: the setting that has to change.
    reference = pulumi.StackReference(f"{name}-nodePool.clusterStack", pool.cluster_stack, hidden)
    return kubeconfig_text(reference.get_output(pool.kubeconfig_output))


def kubeconfig_text(value: pulumi.Input[Any]) -> pulumi.Output[str]:
    """Give a kubeconfig as a text and a secret: some providers have it as an object.

    One that is not there is an empty text, which nobody takes for this machine's own kubeconfig.
    """
    return pulumi.Output.secret(pulumi.Output.from_input(value).apply(_text))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
