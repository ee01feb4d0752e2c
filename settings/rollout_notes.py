"""What a rollout will do with a new version, as a preview tells it."""

from collections.abc import Iterator

from settings.service_groups import RolloutPlan

__all__ = ["rollout_notes"]


def rollout_notes(rollout: RolloutPlan) -> list[str]:
    """Say what a new version proves before traffic, which shares of it it then gets, and how long that takes."""
    return [*_gates(rollout), *_steps(rollout)]


def _gates(rollout: RolloutPlan) -> Iterator[str]:
    replay, performance = rollout.replay, rollout.performance
    steps = []
    if replay is not None:
        steps.append(f"replays {replay.requests} requests against the version that serves")
    if performance is not None:
        steps.append(f"is loaded with {performance.concurrency} requests at once for {performance.seconds} s")
    if steps:
        yield f"rollout: before traffic a new version {', then '.join(steps)}: at most {rollout.gates_seconds} s"


def _steps(rollout: RolloutPlan) -> Iterator[str]:
    percent = rollout.canary_traffic_percent
    if percent == 0:
        yield "rollout: a new version gets no traffic, because deployment.rollout.canaryTrafficPercent is 0"
    elif percent is not None and percent < 100:
        yield f"rollout: a new version gets {percent} % of the traffic and stays there, until a later `up` changes it"
    elif rollout.steps:
        shares = ", then ".join(f"{step.name} for {step.pause} s" for step in rollout.steps)
        judged = "" if rollout.analysis else "; deployment.rollout.analysis is left out, so no figure stops it"
        yield f"rollout: a new version gets {shares}: {rollout.steps_seconds} s{judged}"
