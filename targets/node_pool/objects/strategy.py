"""The strategy by which new replicas replace old ones, from the GPUs that are spare."""

from typing import Any

from targets.node_pool.rendering import Options

__all__ = ["lacks_spare_gpus", "spare_replicas", "strategy"]


def spare_replicas(options: Options) -> int:
    """How many replicas more than those that serve may run during a rollout."""
    if options.rollout.strategy == "recreate":
        return 0
    if options.gpus == 0:
        return 1
    spare = options.pool.spare_gpus
    if spare is None:
        spare = options.gpus if options.preset.elastic else 0
    return spare // options.gpus


def strategy(options: Options) -> dict[str, Any]:
    """Render the Deployment's strategy.

    With room for one more replica, new ones start first and no old one stops before one passed its probe. Without, one
    of several replicas makes room at a time and the others serve; a single one must stop for its successor.
    """
    replicas = options.pool.serving_replicas
    spare = min(spare_replicas(options), replicas)
    if spare:
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": spare, "maxUnavailable": 0}}
    if replicas > 1 and options.rollout.strategy == "surge":
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return {"type": "Recreate"}


def lacks_spare_gpus(options: Options) -> bool:
    """Whether replicas stop before their successors start although the settings ask for the other order."""
    return strategy(options)["type"] == "Recreate" and options.rollout.strategy == "surge"
