"""The settings of a new stack: what is served, by what, and where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from operate.new.asked import Asked
from operate.new.names import free_port, other_stacks, service_name
from operate.new.pickles import CURATED
from operate.new.sources import Found
from settings.schema import Framework, Target

__all__ = ["stack_values"]

_GIGABYTE = 10**9
_LEAST_GIGABYTES = 4  # the default of deployment.memoryGb


def stack_values(
    asked: Asked, found: Found, folder: Path, *, gpu: bool, packages: Sequence[str] = ()
) -> dict[str, Any]:
    """Put the settings together, by name, as `settings.load` takes them.

    Args:
        asked: What the user asks for.
        found: The model.
        folder: The folder of the bundle's files, now.
        gpu: Whether the service gets a GPU.
        packages: The pip packages beside those of the curated environment.
    """
    others, places = other_stacks(asked.project), asked.places
    path = _written(found.in_place, asked) if found.in_place else str(places.bundle.relative_to(asked.project))
    framework = Framework.CUSTOM if found.pickle else Framework.MULTI
    model = {"path": f"{path}/{found.pickle}" if found.pickle else path, "name": asked.name}
    values: dict[str, Any] = {
        "serviceName": service_name(asked.name, others),
        "models": [{**model, "framework": framework.value}],
    }
    if packages:
        values["environment"] = {"name": asked.name, "clone": CURATED, "pipPackages": list(packages)}
    if asked.script or found.pickle:
        values["entryScript"] = "score.py"
        values["sourceDirectory"] = str(places.scripts.relative_to(asked.project))
    memory = _gigabytes(folder)
    if asked.target == Target.NODE_POOL.value:
        return values | _on_node_pool(asked, values["serviceName"], memory, gpu=gpu)
    deployment: dict[str, Any] = {"target": asked.target, "gpuCores": int(gpu), "cpuCores": 1}
    if memory > _LEAST_GIGABYTES:  # else unsaid: a machine may have less than the default, and the default is no demand
        deployment["memoryGb"] = memory
    return values | {"deployment": {**deployment, "authEnabled": True, "port": free_port(others)}}


def _on_node_pool(asked: Asked, service: str, memory: int, *, gpu: bool) -> dict[str, Any]:
    """Say where on a cluster it runs: the user knows the registry and the pool, and corrects both."""
    pool: dict[str, Any] = {"namespace": "triton-serving", "createNamespace": True}
    return {
        "image": {"repository": f"registry.example.com/team/{service}"},
        "deployment": {
            "target": asked.target,
            "computeTargetName": "aks-gpu" if gpu else "any-linux",
            "gpuCores": int(gpu),
            "cpuCores": 1,
            "memoryGb": memory,
            "authEnabled": True,
        },
        "nodePool": pool if gpu else {**pool, "nodeSelector": {"kubernetes.io/os": "linux"}},
    }


def _gigabytes(folder: Path) -> int:
    """Estimate the memory of a service: twice its models, and what Triton and the script need."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return max(_LEAST_GIGABYTES, 2 + -(-2 * size // _GIGABYTE))


def _written(path: Path, asked: Asked) -> str:
    """Write a path as a stack's file has it: from the project, unless the user gave an absolute one outside."""
    absolute = path.absolute()
    if path.is_absolute() and not absolute.is_relative_to(asked.project):
        return str(path)
    return os.path.relpath(absolute, asked.project)
