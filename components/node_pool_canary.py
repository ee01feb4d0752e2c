"""The steps of a rollout on a node pool, and what the replicas keep while a candidate has a share of the traffic."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from provider.resources.node_pool_canary import DOOR, NodePoolCanary
from targets.node_pool.lifecycle import Times
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import CANDIDATE, GENERATION_ANNOTATION, Names
from targets.node_pool.objects.candidate import candidate
from targets.node_pool.objects.gateway_files import gateway_options
from targets.node_pool.rendering import Manifest, Options
from targets.node_pool.reports_folder import reports_folder

__all__ = ["declare_canary", "kept_beside_a_candidate", "marked"]


def declare_canary(
    name: str,
    options: Options,
    where: Mapping[str, Any],
    generation: pulumi.Output[str],
    grace_seconds: int,
    opts: pulumi.ResourceOptions,
) -> NodePoolCanary:
    """Declare what happens before the replicas change.

    It is declared without steps too: it takes back what an `up` that ended early left of a candidate.
    """
    times, settings = Times.of(options), options.settings
    inputs: dict[str, Any] = {
        **where,
        "service": Names.of(options).service,
        "generation": generation,
        "objects": pulumi.Output.json_dumps(candidate(options), sort_keys=True),
        "door": DOOR.dump_json(gateway_options(options)).decode(),
        "rollout": options.rollout,
        "needs": Needs.of(CANDIDATE, settings),
        "provision_seconds": times.provision,
        "startup_seconds": times.startup,
        "grace_seconds": grace_seconds,
        "reports": str(reports_folder(settings)),
    }
    return NodePoolCanary(f"{name}-canary", inputs, opts)


def marked(manifest: Manifest, generation: pulumi.Output[str]) -> Manifest:
    """Write on a Deployment which generation its pods are."""
    metadata = manifest["metadata"]
    annotations = {**metadata["annotations"], GENERATION_ANNOTATION: generation}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def kept_beside_a_candidate(options: Options) -> Sequence[str]:
    """List the properties of the replicas' Deployment that stay, while the declared ones are a candidate's."""
    percent = options.rollout.canary_traffic_percent
    if percent is None or percent == 100:
        return ()
    return ("spec.template", f'metadata.annotations["{GENERATION_ANNOTATION}"]')
