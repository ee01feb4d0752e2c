"""What a stack's settings say of a service and of its front door reaches the specifications of every target here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from settings.load import load
from settings.schema import Settings, Target
from settings.stack_reader import file_of
from targets.contract import machine_target

PROJECT = Path(__file__).resolve().parents[2]
OF_RESOURCES: dict[str, dict[str, Any]] = {
    "process": {"environment_path": "/environment", "environment_digest": "e"},
    "docker": {"network": "n", "image": "i"},
}
KEYS = {"primary_key": "p", "secondary_key": "s", "shape": ("triton", "scorer")}


@pytest.fixture(params=list(OF_RESOURCES))
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    tree = {
        "models": [{"path": str(PROJECT / "model_repository"), "name": "m"}],
        "entryScript": "score.py",
        "environment": {"variables": {"WORKER_COUNT": "2", "AML_CORS_ORIGINS": "https://a.example"}},
        "deployment": {
            "target": request.param,
            "cpuCores": 0.5,
            "memoryGb": 0.5,
            "scoringTimeoutMs": 1500,
            "maxRequestMegabytes": 2,
            "maxRequestsPerSecond": 3,
            "port": 7000,
            "overwrite": True,
            "rollout": {"deadlineSeconds": 7},
        },
        **({"docker": {"shmMb": 100, "scorerShare": 0.5}} if request.param == "docker" else {}),
    }
    return load(tree, subject=file_of("test"), project=tmp_path)


def specification(settings: Settings, part: str, **added: Any) -> Any:
    target = machine_target(settings.deployment.target)
    fields = getattr(target, f"declared_{part}")(settings)
    return getattr(target, part).specification.model_validate(
        {**fields, "owner": "o", "state_directory": "/s", **added}
    )


def test_a_service_is_what_the_settings_say(settings: Settings) -> None:
    deployment = settings.deployment
    spec = specification(settings, "service", bundles=(), **OF_RESOURCES[deployment.target.value])
    assert (spec.resources, spec.limits, spec.rollout) == (
        deployment.resources,
        deployment.limits,
        deployment.rollout_plan,
    )
    assert (spec.service_name, spec.overwrite) == ("triton-webservice", True)
    assert spec.variables["WORKER_COUNT"] == "2"
    if deployment.target is Target.DOCKER:
        assert (spec.scorer, spec.scorer_share, spec.shared_memory_mb) == (True, 0.5, 100)
    else:
        assert spec.entry_script.file == "score.py"


def test_a_front_door_opens_as_the_settings_say(settings: Settings) -> None:
    own = {"network": "n", "image": "i"} if settings.deployment.target is Target.DOCKER else {}
    door = specification(settings, "front_door", **KEYS, **own)
    assert (door.opening, door.limits) == (settings.deployment.opening, settings.deployment.limits)
    assert (door.resources, door.cors_origins) == (settings.deployment.resources, ("https://a.example",))
