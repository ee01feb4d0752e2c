"""Rules over this machine, where target `process` runs: it can run Triton, and has what the settings ask for."""

import os
from collections.abc import Iterator

import psutil

from environment.curated_clone import Environment
from environment.machine_requirements import why_not
from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Framework, Model, Settings, Target

__all__ = ["machine_rules"]


@rule
def machine_rules(settings: Settings) -> Iterator[Mistake]:
    """Yield what this machine lacks; nothing on the other targets."""
    if settings.deployment.target is not Target.PROCESS:
        return
    yield from _runs_triton(settings)
    yield from _has_processors_and_memory(settings)


@rule
def _runs_triton(settings: Settings) -> Iterator[Mistake]:
    if any(isinstance(model, Model) and model.framework is Framework.MULTI for model in settings.models):
        for reason in why_not(Environment.get("AzureML-Triton").curated.wheel):
            yield Mistake(path="deployment.target", value="'process'", expected=reason)


@rule
def _has_processors_and_memory(settings: Settings) -> Iterator[Mistake]:
    deployment = settings.deployment
    for path, field, wanted, there, unit in (
        ("deployment.cpuCores", "cpu_cores", deployment.cpu_cores, processors(), "processors"),
        ("deployment.memoryGb", "memory_gb", deployment.memory_gb, memory_gb(), "gigabytes of memory"),
    ):
        # What nobody asked for is no mistake.
        if field in deployment.model_fields_set and wanted > there:
            yield Mistake(
                path=path,
                value=f"{wanted:g}",
                expected=f"expected at most {int(there * 10) / 10:g} on target 'process', the {unit} of this machine",
            )


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Measure this machine's memory in gigabytes (10^9 bytes)."""
    return float(psutil.virtual_memory().total / 1e9)
