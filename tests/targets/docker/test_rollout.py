"""What a rollout leaves behind, on an engine that keeps its containers in a dictionary."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from common import waiting
from common.waiting import Cancelled, cancel, wait_until
from environment.dockerfile import LABELS
from settings.service_groups import Resources, RolloutPlan
from targets.docker import rollout, traffic
from targets.docker.containers import Container, Labels
from targets.docker.engine import Exit, Found
from targets.docker.specification import ServiceSpec
from targets.errors import ServiceError
from targets.role import Role
from tests.targets.docker.test_containers import spec


class Engine:
    """Docker's engine; `probe` answers for a container's probe: its exit code and its words."""

    def __init__(self, probe: Callable[[str], tuple[int | None, str]]) -> None:
        self.probe = probe
        self.there: dict[str, Found] = {}
        self.clock = 0

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None: ...

    def check_gpus(self, resources: Resources) -> None: ...

    def keep_running(self, name: str) -> None: ...

    def await_end(self, name: str, seconds: float) -> None: ...

    def image_labels(self, image: str) -> dict[str, str]:
        return {f"{LABELS}.models": "m:1@sha256:d"}

    def containers(self, service: str, owner: str = "") -> list[Found]:
        return list(self.there.values())

    def find(self, name: str) -> Found | None:
        return self.there.get(name)

    def start(self, container: Container) -> None:
        labels = container.body["Labels"]
        self._put(
            name=container.name,
            role=container.role,
            owner=labels[Labels.OWNER],
            generation=int(labels[Labels.GENERATION]),
            digest=labels[Labels.DIGEST],
        )

    def restart(self, name: str) -> None:
        found = self.there[name]
        self._put(name=name, role=found.role, owner=found.owner, generation=found.generation, digest=found.digest)

    def stop(self, name: str) -> None:
        self.there[name] = Found(**{**vars(self.there[name]), "running": False})

    def remove(self, name: str) -> None:
        self.there.pop(name, None)

    def exit_of(self, name: str) -> Exit | None:
        return None

    def ran_out_of_memory(self, name: str) -> bool:
        return False

    def logs(self, name: str) -> str:
        return ""

    def run(self, name: str, command: list[str], seconds: float) -> tuple[int | None, str]:
        answer = self.probe(name)
        wait_until(lambda: True, seconds=seconds)  # as the real one waits for the command
        return answer

    def _put(self, **known: Any) -> None:
        self.clock += 1
        unknown = {"running": True, "health": "", "started": f"{self.clock:029}", "address": "10.0.0.1", "ports": ()}
        self.there[known["name"]] = Found(**{**unknown, **known})

    @property
    def running(self) -> set[str]:
        return {name for name, found in self.there.items() if found.running}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(lambda _: (0, ""))
    monkeypatch.setattr(rollout, "Engine", lambda: made)
    monkeypatch.setattr(traffic, "send_to", lambda *_, **__: None)
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())
    return made


def declared(folder: Path, **changed: Any) -> ServiceSpec:
    return spec(state_directory=folder, **changed)


OLD = {f"web-1-{role}" for role in (Role.NETWORK, Role.TRITON, Role.SCORER)}


def failing(name: str) -> tuple[int | None, str]:
    return (1, "model m version 1: wrong") if name.startswith("web-2") else (0, "")


def cancelling(name: str) -> tuple[int | None, str]:
    if name.startswith("web-2"):
        cancel()
    return 0, ""


@pytest.mark.parametrize("strategy", ["surge", "recreate"])
@pytest.mark.parametrize(("probe", "error"), [(failing, ServiceError), (cancelling, Cancelled)])
def test_a_failed_and_a_cancelled_rollout_leave_the_old_generation_alone(
    engine: Engine, tmp_path: Path, probe: Any, error: type[Exception], strategy: Literal["surge", "recreate"]
) -> None:
    said: list[str] = []
    assert rollout.apply(declared(tmp_path), said.append).generation == 1
    engine.probe = probe
    with pytest.raises(error):
        rollout.apply(
            declared(
                tmp_path, resources=Resources(memory_gb=2), rollout=RolloutPlan(strategy=strategy, drain_seconds=30)
            ),
            said.append,
        )
    assert engine.there.keys() == engine.running == OLD
    assert ("starting generation 1 again" in said) == (strategy == "recreate")


def test_a_rollout_that_is_cancelled_while_the_old_generation_drains_goes_on_to_its_end(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.apply(declared(tmp_path), print)
    monkeypatch.setattr(traffic, "await_idle", lambda *_: bool(cancel() or wait_until(lambda: True, seconds=1)))
    assert rollout.apply(declared(tmp_path, resources=Resources(memory_gb=2)), print).generation == 2
    assert engine.running == {name.replace("web-1", "web-2") for name in OLD}
