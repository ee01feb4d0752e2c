"""Each group of a deployment by itself, as targets take it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from settings.schema import Settings
from settings.service_groups import Limits, Opening, Resources, Rollout, RolloutPlan
from tests.settings.conftest import Check


def test_each_group_has_what_the_flat_file_says(settings_of: Callable[..., Settings]) -> None:
    deployment = settings_of(
        {
            "deployment": {
                "cpuCores": 1.5,
                "memoryGb": 0.5,
                "port": 7000,
                "authEnabled": False,
                "scoringTimeoutMs": 1500,
                "maxRequestMegabytes": 2,
                "rollout": {"strategy": "recreate"},
            }
        }
    ).deployment
    assert deployment.resources == Resources(cpu_cores=1.5, memory_gb=0.5)
    assert deployment.limits == Limits(scoring_timeout_ms=1500, max_request_megabytes=2)
    assert deployment.opening == Opening(port=7000, auth_enabled=False)
    assert deployment.rollout_plan == RolloutPlan(strategy="recreate", drain_seconds=2)


def test_groups_give_their_values_in_the_units_of_programs() -> None:
    resources, limits = Resources(cpu_cores=2.5, memory_gb=1.5), Limits(scoring_timeout_ms=90_500)
    assert (resources.threads, resources.memory_mb, resources.has_gpu) == (2, 1536, False)
    assert (limits.scoring_seconds, limits.max_request_bytes) == (90.5, 64 * 2**20)
    assert (Resources(cpu_cores=0.5).threads, Resources(gpu_cores=1).has_gpu) == (1, True)


@pytest.mark.parametrize(("given", "drain", "graceful"), [(None, 60, 60), (5, 5, 5), (0, 0, 1)])
def test_a_drain_takes_by_default_as_long_as_a_request(given: int | None, drain: int, graceful: int) -> None:
    plan = Rollout.model_validate({"drainSeconds": given}).plan(Limits())
    assert (plan.drain_seconds, plan.graceful_seconds) == (drain, graceful)


def test_a_stacks_file_has_no_names_of_python_and_no_groups(mistakes: Check) -> None:
    for name, value in {"cpu_cores": 1, "resources": {"cpuCores": 1}}.items():
        (found,) = mistakes({"deployment": {name: value}})
        assert f"deployment.{name} has the value" in found
        assert "there is no such setting" in found
