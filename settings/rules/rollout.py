"""Rules over the gates of a rollout: the target has them, and there is something to send, to compare and to drive."""

from collections.abc import Iterator, Sequence

from settings.errors import Mistake
from settings.golden import GoldenError, golden_request
from settings.rules.models import BundleRead
from settings.schema import Settings, Target
from settings.variable_names import COLLECT

__all__ = ["rollout_rules"]

_PATH = "deployment.rollout"
_MOST_BY_CORE = 64
"""Requests at once that a core of the service drives: more only wait in a queue, which is what would be measured."""


def rollout_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what keeps replay and performance from judging a version.

    Args:
        settings: A stack's settings.
        bundles: What `read_bundles` gave for them.
    """
    rollout = settings.deployment.rollout
    gates = [name for name in ("replay", "performance") if getattr(rollout, name) is not None]
    if not gates:
        return
    if settings.deployment.target is Target.NODE_POOL:
        for gate in gates:
            yield Mistake(
                path=f"{_PATH}.{gate}",
                expected="target 'node-pool' does not have it; leave it out there: the pods' probes and golden "
                "inferences decide",
            )
        return
    if rollout.performance is not None and not rollout.performance.has_a_limit:
        yield Mistake(
            path=f"{_PATH}.performance",
            expected="expected at least one of p95Ms, minThroughput and maxSlowdown: without a limit no version fails",
        )
    yield from _old_one_is_there(settings)
    yield from _cores_can_drive_it(settings)
    if not _something_to_send(settings, bundles):
        for gate in gates:
            yield Mistake(
                path=f"{_PATH}.{gate}",
                expected="has nothing to send: no model has a golden inference, the script has no golden request, and "
                f"environment.variables.{COLLECT} is not set; write a golden.json, or <script>.golden.json",
            )


def _old_one_is_there(settings: Settings) -> Iterator[Mistake]:
    rollout = settings.deployment.rollout
    if rollout.strategy != "recreate":
        return
    instead = "leave it out, or set deployment.rollout.strategy to 'surge'"
    if rollout.replay is not None:
        yield Mistake(
            path=f"{_PATH}.replay",
            expected=f"compares with the old version, which strategy 'recreate' stops first; {instead}",
        )
    if rollout.performance is not None and rollout.performance.max_slowdown is not None:
        yield Mistake(
            path=f"{_PATH}.performance.maxSlowdown",
            value=f"{rollout.performance.max_slowdown:g}",
            expected=f"compares with the old version, which strategy 'recreate' stops first; {instead}",
        )


def _cores_can_drive_it(settings: Settings) -> Iterator[Mistake]:
    performance, cores = settings.deployment.rollout.performance, settings.deployment.cpu_cores
    most = max(1, int(_MOST_BY_CORE * cores))
    if performance is not None and performance.concurrency > most:
        yield Mistake(
            path=f"{_PATH}.performance.concurrency",
            value=str(performance.concurrency),
            expected=f"expected at most {most}, {_MOST_BY_CORE} for each of deployment.cpuCores ({cores:g}): more "
            "would measure the queue",
        )


def _something_to_send(settings: Settings, bundles: Sequence[BundleRead]) -> bool:
    """Whether a request is known; true where a mistake elsewhere keeps that from being told."""
    if any(bundle.mistakes for bundle in bundles):
        return True
    if any(model.get("golden") for bundle in bundles if bundle.by_triton for model in bundle.models):
        return True
    if settings.entry_script is None:
        return False
    if settings.environment.variables.get(COLLECT):
        return True
    try:
        return golden_request(settings) is not None
    except GoldenError:
        return True
