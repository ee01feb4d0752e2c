"""Rules over the gates and the steps of a rollout.

The target has them. A gate has something to send, to compare and to drive. Steps go up, and something can fail.
"""

from collections.abc import Iterator, Sequence

from settings.errors import Mistake
from settings.golden import GoldenError, golden_request
from settings.rules.models import BundleRead
from settings.rules.rule import rule
from settings.schema import Settings
from settings.variable_names import COLLECT

__all__ = ["rollout_rules"]

_PATH = "deployment.rollout"
_MOST_BY_CORE = 64
"""Requests at once that a core of the service drives: more only wait in a queue, which is what would be measured."""


@rule
def rollout_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what keeps replay, performance and the steps from judging a version.

    Args:
        settings: A stack's settings.
        bundles: What `read_bundles` gave for them.
    """
    yield from _steps_go_up(settings)
    rollout = settings.deployment.rollout
    gates = [name for name in ("replay", "performance") if getattr(rollout, name) is not None]
    if not gates:
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


@rule
def _steps_go_up(settings: Settings) -> Iterator[Mistake]:
    rollout = settings.deployment.rollout
    percent = rollout.canary_traffic_percent
    share = "steps" if rollout.steps else "canaryTrafficPercent"
    shares = bool(rollout.steps) or percent is not None
    if rollout.steps and percent is not None:
        yield Mistake(
            path=f"{_PATH}.canaryTrafficPercent",
            value=str(percent),
            expected="has no place beside steps, which end with all of the traffic; leave one of the two out",
        )
    if shares and rollout.strategy == "recreate":
        yield Mistake(
            path=f"{_PATH}.{share}",
            expected="needs the old version, which strategy 'recreate' stops first; leave it out, or set "
            "deployment.rollout.strategy to 'surge'",
        )
    weight = 0
    for number, step in enumerate(rollout.steps):
        path = f"{_PATH}.steps[{number}]"
        if (step.mirror is None) == (step.set_weight is None):
            yield Mistake(path=path, expected="expected one of mirror and setWeight")
        elif step.mirror is not None and weight:
            yield Mistake(
                path=f"{path}.mirror",
                value=str(step.mirror),
                expected=f"comes after setWeight {weight}, which would fall to 0; put mirror first",
            )
        elif step.set_weight is not None:
            if step.set_weight <= weight:
                yield Mistake(
                    path=f"{path}.setWeight",
                    value=str(step.set_weight),
                    expected=f"expected more than {weight}, the step's before: shares of a rollout go up",
                )
            weight = max(weight, step.set_weight)
    if rollout.analysis is not None:
        if not rollout.steps:
            yield Mistake(path=f"{_PATH}.analysis", expected="judges steps, and there are none; add steps")
        if not rollout.analysis.has_a_limit:
            yield Mistake(
                path=f"{_PATH}.analysis",
                expected="expected at least one of maxErrorRate, p95Ms and maxSlowdown: without a limit no version "
                "fails",
            )


@rule
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


@rule
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
    if any(bundle.unread for bundle in bundles):
        return True
    if any(model.get("golden") for bundle in bundles if bundle.by_triton for model in bundle.models):
        return True
    if settings.deployment.record_requests is not None:
        return True
    if settings.entry_script is None:
        return False
    if settings.environment.variables.get(COLLECT):
        return True
    try:
        return golden_request(settings) is not None
    except GoldenError:
        return True
