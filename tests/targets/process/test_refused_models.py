"""Models that Triton gives up when it reads its repository: a rollout ends at once, with Triton's words."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.process import rollout
from targets.process.service_folder import ServiceDirectory
from tests.bundle.bundles import BATCHED, model
from tests.targets.process.conftest import spec_of_triton

DEADLINE = 300
SECONDS = 60  # of a busy machine; it takes 2 on an idle one
CONTROL = 'metric_identifier { family: "f" } histogram_options { buckets: 1 }'


@pytest.fixture
def roll_out(tmp_path: Path) -> Callable[[], str]:
    """Register the models below `tmp_path` and roll a service of them out; gives what it says when it fails."""

    def run() -> str:
        rolled = RolloutPlan(deadline_seconds=DEADLINE, drain_seconds=30)
        spec = spec_of_triton(tmp_path, tmp_path, rollout=rolled)
        started = time.monotonic()
        with pytest.raises(ServiceError) as failed:
            rollout.apply(spec, print)
        assert time.monotonic() - started < SECONDS
        assert not ServiceDirectory.of(tmp_path / "state", "web").root.exists()
        return str(failed.value)

    return run


def test_a_configuration_that_triton_does_not_read_is_told_in_its_words(
    tmp_path: Path, roll_out: Callable[[], str]
) -> None:
    """A field that this release does not know, and that only settings would tell."""
    model(tmp_path / "triton" / "m", f"{BATCHED} model_metrics {{ metric_control: [ {{ {CONTROL} }} ] }}")
    said = roll_out()
    assert "model m version 1: " in said
    assert "received: Triton refused it when it read its repository; its log says why" in said
    assert "\n  Poll failed for model directory 'm': failed to read text proto from " in said


def test_a_model_that_fails_when_it_is_loaded_is_told_in_its_words(tmp_path: Path, roll_out: Callable[[], str]) -> None:
    model(tmp_path / "triton" / "m", f'backend: "python" {BATCHED}')
    (tmp_path / "triton" / "m" / "1" / "model.py").write_text(
        "class TritonPythonModel:\n    @staticmethod\n    def auto_complete_config(config):\n"
        "        config.set_max_batch_size(4)\n        return config\n"
    )
    assert "configuration specified max_batch_size 8, but in auto-complete-config function for model 'm'" in roll_out()
