"""Where pods run: the pool's label, its taints, the GPU, and how replicas spread."""

from typing import Any

from targets.node_pool.object_names import Names
from targets.node_pool.rendering import Options

__all__ = ["front_door_placement", "replica_placement"]


def replica_placement(options: Options, component: str) -> dict[str, Any]:
    """Render the fields of a replica's pod that the scheduler reads; the replicas of a candidate spread for themselves.

    Without a GPU the preset's pool is left alone: any node will do, unless the settings name one.
    """
    pool = options.pool
    return {
        **_selected(options, with_preset=options.gpus > 0),
        "topologySpreadConstraints": _spread(options, component),
        **({"priorityClassName": pool.priority_class_name} if pool.priority_class_name else {}),
        **({"runtimeClassName": pool.runtime_class_name} if pool.runtime_class_name else {}),
    }


def front_door_placement(options: Options) -> dict[str, Any]:
    """Render them for Envoy's pods, which need no GPU and stay off its pool unless told otherwise."""
    placed = _selected(options, with_preset=True) if options.pool.front_door.on_pool else {}
    return {**placed, "topologySpreadConstraints": _spread(options, "front-door")}


def _selected(options: Options, *, with_preset: bool) -> dict[str, Any]:
    pool, preset = options.pool, options.preset
    if pool.node_selector is not None:
        selector = dict(pool.node_selector)
    elif with_preset:
        wanted = {preset.pool_label: pool.pool or preset.pool, preset.accelerator_label: pool.accelerator}
        selector = {label: value for label, value in wanted.items() if label and value}
    else:
        selector = {}
    if pool.tolerations is not None:
        tolerations = [toleration.model_dump(exclude_none=True) for toleration in pool.tolerations]
    else:
        tolerations = [dict(toleration) for toleration in preset.tolerations] if with_preset else []
    return {
        **({"nodeSelector": selector} if selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
    }


def _spread(options: Options, component: str) -> list[dict[str, Any]]:
    """Over zones, then over nodes, where there are several; a replica that finds no such place still runs."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": Names.of(options).selector(component)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]
