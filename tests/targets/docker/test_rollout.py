"""What a rollout leaves behind, on an engine that keeps its containers in a dictionary."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from common import waiting
from common.waiting import Cancelled, cancel, wait_until
from environment.dockerfile import LABELS
from gateway import envoy_files, envoy_folder, traffic_share
from gateway.front_door_options import Options
from gateway.keys import make_key
from settings.rollout_steps import Step
from settings.service_groups import Limits, Opening, Resources, RolloutPlan
from targets.canary import Canary
from targets.docker import front_door, rollout, traffic
from targets.docker.containers import Container, Labels, digest_of
from targets.docker.engine import Exit, Found
from targets.docker.machine_target import TARGET
from targets.docker.owner import owner_of
from targets.docker.service_folder import Folder
from targets.docker.specification import FrontDoorSpec, ServiceSpec
from targets.errors import ServiceError
from targets.machine_target import BEHIND
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


OTHER = "organization/p/other of /state"


def door_of(folder: Path, shape: tuple[Role, ...] = (Role.TRITON, Role.SCORER)) -> Path:
    """Leave the files of an opened front door, whose Envoy does not run; gives the file of its routes."""
    service = Folder.of(folder, "web")
    options = Options(traffic.upstreams(shape, "10.0.0.1", 1), directory="/etc/gateway")
    traffic_share.remember(service.envoy, options)
    envoy_folder.install(service.envoy, envoy_files.render(options))
    return service.envoy / "routes.json"


def canary(percent: int | None = 10) -> RolloutPlan:
    return RolloutPlan(canary_traffic_percent=percent, drain_seconds=0)


def with_a_canary(folder: Path, **changed: Any) -> Path:
    rollout.apply(declared(folder), print)
    routes = door_of(folder)
    record = rollout.apply(declared(folder, resources=Resources(memory_gb=2), rollout=canary(), **changed), print)
    assert (record.generation, record.candidate, record.percent) == (1, 2, 10)
    assert "-candidate" in routes.read_text()
    return routes


def test_a_canary_is_taken_back_where_the_settings_ask_for_other_servers(engine: Engine, tmp_path: Path) -> None:
    routes = with_a_canary(tmp_path)
    record = rollout.apply(declared(tmp_path, scorer=False, rollout=RolloutPlan(drain_seconds=0)), print)
    assert (record.generation, record.candidate) == (3, 0)
    assert "-candidate" not in routes.read_text()
    assert engine.running == {"web-3-network", "web-3-triton"}


def test_a_canary_that_is_ill_does_not_get_all_of_the_traffic(engine: Engine, tmp_path: Path) -> None:
    with_a_canary(tmp_path)
    engine.probe = failing
    said: list[str] = []
    found = rollout.apply(declared(tmp_path, resources=Resources(memory_gb=2), rollout=canary(None)), said.append)
    assert found.generation == 3
    assert any(line.startswith("generation 2 is not well: ") for line in said)
    assert any(line.startswith("generation 2 has no share of the traffic any more") for line in said)


def test_a_new_generations_recorder_must_listen(engine: Engine, tmp_path: Path) -> None:
    asked: list[str] = []

    def probe(name: str) -> tuple[int | None, str]:
        asked.append(name)
        return (1, "the recorder does not listen") if name == "web-1-recorder" else (0, "")

    engine.probe = probe
    with pytest.raises(ServiceError, match="the recorder does not listen"):
        rollout.apply(declared(tmp_path, recorded_megabytes=100), print)
    assert asked == ["web-1-triton", "web-1-scorer", "web-1-recorder"]
    assert not engine.there


def test_the_recorder_of_a_generation_that_served_before_decides_nothing(engine: Engine, tmp_path: Path) -> None:
    recorded = {"recorded_megabytes": 100}
    rollout.apply(declared(tmp_path, **recorded), print)
    door_of(tmp_path)
    changed = {"resources": Resources(memory_gb=2), **recorded}
    rollout.apply(declared(tmp_path, rollout=canary(), **changed), print)
    engine.probe = lambda name: (1, "ended") if name.endswith("recorder") else (0, "")
    engine.stop("web-1-recorder")
    engine.stop("web-2-recorder")
    assert rollout.apply(declared(tmp_path, rollout=canary(), **changed), print).candidate == 2
    assert rollout.apply(declared(tmp_path, rollout=canary(None), **changed), print).generation == 2
    assert rollout.apply(declared(tmp_path, rollout=canary(None), **changed), print).generation == 2


def test_a_canarys_share_does_not_outlive_it_where_the_old_generation_was_stopped(
    engine: Engine, tmp_path: Path
) -> None:
    routes = with_a_canary(tmp_path)
    for name in OLD:
        engine.stop(name)
        engine.there[name] = Found(**{**vars(engine.there[name]), "address": ""})
    assert rollout.apply(declared(tmp_path), print).generation == 1
    assert engine.running == OLD
    assert "-candidate" not in routes.read_text()


def test_a_share_that_was_written_down_alone_is_given(engine: Engine, tmp_path: Path) -> None:
    routes = with_a_canary(tmp_path)
    folder = Folder.of(tmp_path, "web")
    folder.write_record(folder.record().model_copy(update={"percent": 50}))
    rollout.apply(declared(tmp_path, resources=Resources(memory_gb=2), rollout=canary(50)), print)
    assert '"weight": 50' in routes.read_text()


def test_a_canary_in_another_stacks_service_stays_and_is_promoted(engine: Engine, tmp_path: Path) -> None:
    theirs = {"owner": OTHER, "overwrite": True}
    with_a_canary(tmp_path, **theirs)
    wanted = declared(tmp_path, resources=Resources(memory_gb=2), rollout=canary(), **theirs)
    record = rollout.apply(wanted, print)
    assert (record.owner, record.generation, record.candidate) == (OTHER, 1, 2)
    assert engine.running >= OLD
    wanted = wanted.model_copy(update={"rollout": canary(None)})
    assert rollout.apply(wanted, print).serving == (OTHER, 2)
    assert engine.running == {name.replace("web-1", "web-2") for name in OLD}


def test_another_stacks_service_stays_that_stacks_where_steps_are_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.apply(declared(tmp_path), print)
    door_of(tmp_path)

    def refuse(_: Canary) -> None:
        raise ServiceError("refused")

    monkeypatch.setattr(Canary, "judge", refuse)
    steps = RolloutPlan(steps=[Step.model_validate({"setWeight": 10, "pause": "1s"})], drain_seconds=0)
    with pytest.raises(ServiceError, match="refused"):
        rollout.apply(
            declared(tmp_path, resources=Resources(memory_gb=2), rollout=steps, owner=OTHER, overwrite=True), print
        )
    assert engine.running == OLD
    rollout.apply(declared(tmp_path), print)
    assert engine.running == OLD


def test_a_renamed_service_with_a_canary_keeps_its_front_door(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_canary(tmp_path)
    Folder.of(tmp_path, "web").rename("web", "shop")
    wanted = declared(tmp_path, service_name="shop", resources=Resources(memory_gb=2), rollout=canary())
    record = rollout.apply(wanted, print)
    assert (record.generation, record.candidate) == (1, 3)
    opened: list[Options] = []
    monkeypatch.setattr(front_door, "Engine", lambda: engine)
    monkeypatch.setattr(front_door, "_take_over", lambda *_: None)
    monkeypatch.setattr(front_door, "_open", lambda spec, folder, engine, wanted, port: opened.append(wanted))
    monkeypatch.setattr(front_door, "check_port", lambda *_: None)
    values: dict[str, Any] = {
        "service_name": "shop",
        "owner": wanted.owner,
        "state_directory": tmp_path,
        "shape": (Role.TRITON, Role.SCORER),
        "network": "web-1",
        "image": "envoy",
        "opening": Opening(port=6789),
        "limits": Limits(),
        "resources": Resources(),
        "primary_key": make_key(),
        "secondary_key": make_key(),
    }
    front_door.apply(FrontDoorSpec(**values))
    assert opened[0].candidate is not None
    assert opened[0].candidate.weight == 10


def test_a_share_that_the_state_does_not_know_makes_the_service_differ(engine: Engine, tmp_path: Path) -> None:
    service, wanted = TARGET.service, declared(tmp_path, owner="organization/p/s")
    theirs = {"owner": owner_of(wanted.owner, tmp_path)}
    rollout.apply(wanted.model_copy(update=theirs), print)
    before = {"number": 1, "digest": digest_of(wanted)}
    assert not service.is_outdated(wanted, before)
    door_of(tmp_path)
    changed = wanted.model_copy(update={"resources": Resources(memory_gb=2), "rollout": canary()})
    known = service.apply(changed, print)["generation"]
    assert known[BEHIND]
    assert not service.is_outdated(changed, known)
    # A killed `up` did not write its outputs, and the settings of before ask for nothing new.
    assert service.is_outdated(wanted, before)
    assert BEHIND not in service.apply(changed.model_copy(update={"rollout": canary(None)}), print)["generation"]
