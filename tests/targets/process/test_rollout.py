"""The rollout with real servers of an entry script: a generation earns its traffic, the one before waits for that."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from common import waiting
from serving.probing.golden_check import Problem
from settings.rollout_steps import Step
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.machine.ports import is_listening
from targets.process import front_door, rollout, traffic
from targets.process import service as whole_service
from targets.process.generation_probe import GenerationProbe
from targets.process.supervisor import Process, Supervisor
from targets.state import Measured, State
from tests.targets.process.conftest import OWNER, PROJECT, Service, is_gone
from tests.waiting import eventually

RECREATE = RolloutPlan(strategy="recreate", deadline_seconds=60, drain_seconds=5)


def answering(word: str) -> str:
    return f"def init(): pass\ndef run(data): return {word!r}\n"


FAILING = "def init():\n    raise RuntimeError('no model today')\ndef run(data): return 1\n"
HANGING = "import time\ndef init(): time.sleep(600)\ndef run(data): return 1\n"


def test_nothing_runs_before_the_first_rollout(service: Service) -> None:
    assert whole_service.measure(service.directory).problems == ("no service of that name runs here",)
    with pytest.raises(ServiceError, match="not ready within 1 s"):
        service.up(HANGING, rollout=RolloutPlan(deadline_seconds=1, drain_seconds=5))
    assert service.pids == {}


def test_the_same_again_changes_nothing(service: Service) -> None:
    first = service.up(answering("one"))
    pids = service.pids
    assert (list(pids), service.score()) == ([f"scorer-{first.number}"], '"one"')

    assert service.up() == first
    assert service.pids == pids
    assert not [line for line in service.progress if "starting" in line]


def test_a_changed_script_is_a_new_generation_and_the_old_one_goes(service: Service) -> None:
    old = service.up(answering("one"))
    old_pid = service.pid(old)
    new = service.up(answering("two"))
    assert new.number > old.number
    assert (list(service.pids), service.score()) == ([f"scorer-{new.number}"], '"two"')
    assert is_gone(old_pid)
    assert service.directory.generation_numbers() == [new.number]


def test_a_running_generation_has_its_own_copy_of_the_script(service: Service) -> None:
    running = service.up(answering("one"))
    (service.folder / "source" / "score.py").write_text(FAILING)
    pid = service.pid(running)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: service.pid(running) not in (0, pid))
    eventually(lambda: whole_service.measure(service.directory).state == "Healthy")
    assert service.score() == '"one"'


def test_a_script_that_fails_leaves_the_old_generation_and_shows_its_traceback(service: Service) -> None:
    running = service.up(answering("one"))
    pids = service.pids
    for _ in range(2):
        with pytest.raises(ServiceError, match=r"(?s)Traceback .*RuntimeError: no model today"):
            service.up(FAILING)
        assert (service.pids, service.score()) == (pids, '"one"')
        assert service.directory.generation_numbers() == [running.number]


def test_a_killed_supervisor_is_restored_with_the_same_generation_on_its_ports(service: Service) -> None:
    running = service.up(answering("one"))
    service.kill_supervisor()
    assert whole_service.measure(service.directory).state == "Stopped"
    assert service.up() == running
    assert service.score() == '"one"'


def test_a_generation_whose_port_was_taken_meanwhile_is_replaced(service: Service) -> None:
    old = service.up(answering("one"))
    service.kill_supervisor()
    eventually(lambda: not is_listening(old.scorer or 0))
    code = f"import socket; s = socket.create_server(('127.0.0.1', {old.scorer})); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as taker:
        assert taker.stdout is not None
        taker.stdout.readline()
        new = service.up()
        assert (new.number > old.number, service.score()) == (True, '"one"')
        assert new.scorer != old.scorer
        taker.kill()


def test_a_service_whose_dependency_is_late_after_a_reboot_heals_by_itself(service: Service) -> None:
    database = service.folder / "database"
    database.touch()
    needing = f"def init(): open({str(database)!r})\ndef run(data): return 'needing'\n"
    old = service.up(needing)
    service.kill_supervisor()
    database.unlink()
    for _ in range(2):
        with pytest.raises(ServiceError, match=r"(?s)Traceback .*No such file or directory.*database"):
            service.up()
        assert whole_service.measure(service.directory).state == "Unhealthy"
        assert service.directory.generation_numbers() == [old.number]
    database.touch()
    eventually(lambda: whole_service.measure(service.directory).state == "Healthy", seconds=60)
    assert service.score() == '"needing"'
    assert service.up() == old


def test_a_service_that_is_ill_serves_on_while_up_tries_to_mend_it(service: Service) -> None:
    flag = service.folder / "ill"
    script = f"import os\ndef init(): assert not os.path.exists({str(flag)!r})\ndef run(data): return 'one'\n"
    ill = service.up(script)
    pids = service.pids
    probe = service.directory.generation(ill.number) / "probe.json"
    wanted = json.loads(probe.read_text())
    answers_otherwise = {"golden": {"request": {}, "response": "two"}}
    probe.write_text(json.dumps(wanted | {"scorer": wanted["scorer"] | answers_otherwise}))
    flag.touch()
    with pytest.raises(ServiceError, match="AssertionError"):
        service.up()
    assert (service.pids, service.score()) == (pids, '"one"')
    flag.unlink()
    steps = [Step.model_validate({"setWeight": 50, "pause": "1s"})]
    assert service.up(rollout=RolloutPlan(deadline_seconds=60, drain_seconds=5, steps=steps)).number > ill.number
    assert any("is not well, so the new one gets all of the traffic at once" in said for said in service.progress)


def aged(processes: Callable[[Supervisor], dict[str, Process]], seconds: int) -> Callable[..., dict[str, Process]]:
    return lambda supervisor: {name: replace(p, seconds=seconds) for name, p in processes(supervisor).items()}


def test_one_that_had_its_time_to_start_is_not_waited_for_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = service.up(answering("one"))
    monkeypatch.setattr(rollout, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(Supervisor, "processes", aged(Supervisor.processes, 1000))
    probe = service.directory.generation(old.number) / "probe.json"
    wanted = json.loads(probe.read_text())
    probe.write_text(json.dumps(wanted | {"scorer": wanted["scorer"] | {"url": "http://127.0.0.1:1"}}))
    assert service.up().number > old.number
    assert any("did not come back: not ready within 0.1 s" in line for line in service.progress)


def test_a_service_whose_files_are_gone_gets_them_anew(service: Service) -> None:
    old = service.up(answering("one"))
    service.kill_supervisor()
    shutil.rmtree(service.directory.generation(old.number))
    assert "files of its generation" in whole_service.measure(service.directory).problems[0]
    with pytest.raises(ServiceError, match="no model today"):
        service.up(FAILING)
    assert service.up(answering("one")).number > old.number
    assert service.score() == '"one"'


def test_what_a_killed_rollout_left_is_removed(service: Service) -> None:
    running = service.up(answering("one"))
    pids = service.pids
    code = f"""
from targets.process import rollout
from targets.process.specification import ServiceSpec
rollout.apply(ServiceSpec.model_validate_json({service.spec(HANGING).model_dump_json()!r}), print)
"""
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT)
    eventually(lambda: len(service.pids) == 2 and all(service.pids.values()))
    killed.kill()
    killed.wait(10)
    (left,) = set(service.pids.values()) - set(pids.values())

    assert service.up(answering("one")) == running
    assert service.pids == pids
    assert is_gone(left)
    assert service.directory.generation_numbers() == [running.number]


def test_a_generation_whose_processes_were_stopped_is_started_again(service: Service) -> None:
    running = service.up(answering("one"))
    # as a rollout leaves it that was killed after it stopped the old generation first
    service.supervisor.remove(f"scorer-{running.number}")
    assert service.up() == running
    assert service.score() == '"one"'


def test_recreate_stops_the_old_generation_first_and_brings_it_back_when_the_new_one_fails(service: Service) -> None:
    first = service.up(answering("one"), rollout=RECREATE)
    second = service.up(answering("two"), rollout=RECREATE)
    told = "\n".join(service.progress)
    stopped, started = f"stopping generation {first.number} first", f"starting generation {second.number}:"
    assert told.index(stopped) < told.index(started)

    with pytest.raises(ServiceError, match="no model today"):
        service.up(FAILING, rollout=RECREATE)
    assert (list(service.pids), service.score()) == ([f"scorer-{second.number}"], '"two"')


@pytest.mark.parametrize("strategy", ["surge", "recreate"])
def test_a_cancelled_rollout_leaves_the_old_generation_serving_and_nothing_of_its_own(
    service: Service, strategy: Literal["surge", "recreate"], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = service.up(answering("one"), rollout=RolloutPlan(strategy=strategy, deadline_seconds=60, drain_seconds=5))
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())
    seen: list[int] = []

    def new_ones() -> list[int]:
        return [pid for name, pid in service.pids.items() if pid and name != f"scorer-{old.number}"]

    def cancel_once_it_starts() -> None:
        seen.extend(eventually(new_ones))
        waiting.cancel()

    watcher = threading.Thread(target=cancel_once_it_starts)
    watcher.start()
    with pytest.raises(waiting.Cancelled):
        service.up(HANGING, rollout=RolloutPlan(strategy=strategy, deadline_seconds=60, drain_seconds=5))
    watcher.join()
    assert (list(service.pids), service.score()) == ([f"scorer-{old.number}"], '"one"')
    assert is_gone(seen[0])
    assert service.directory.generation_numbers() == [old.number]
    assert "serves on" in service.progress[-1]


def test_a_first_rollout_that_is_cancelled_leaves_nothing(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())

    def problems(*_: object) -> list[Problem]:
        waiting.cancel()
        return [Problem("not yet")]

    monkeypatch.setattr(GenerationProbe, "problems", problems)
    with pytest.raises(waiting.Cancelled):
        service.up(HANGING, state_directory=tmp_path / "state")
    assert not (tmp_path / "state" / "services").exists()


def test_a_rollout_whose_generation_has_the_traffic_goes_on_to_its_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = service.up(answering("one"))
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())
    send_to = traffic.send_to

    def send_and_cancel(*args: Any, **sent: Any) -> None:
        send_to(*args, **sent)
        if "draining" in sent:
            waiting.cancel()

    monkeypatch.setattr(traffic, "send_to", send_and_cancel)
    new = service.up(answering("two"))
    assert new.number > old.number
    assert (list(service.pids), service.score()) == ([f"scorer-{new.number}"], '"two"')


def test_another_stacks_service_is_left_alone_unless_it_may_be_overwritten(service: Service) -> None:
    service.up(answering("one"))
    pids = service.pids
    with pytest.raises(ServiceError, match="serviceName 'web' is taken by the stack organization/project/test"):
        service.up(answering("two"), owner="organization/project/other")
    assert (service.pids, service.score()) == (pids, '"one"')

    with pytest.raises(ServiceError, match="no model today"):
        service.up(FAILING, owner="organization/project/other", overwrite=True)
    assert not service.directory.is_taken_from(OWNER)
    assert service.score() == '"one"'

    service.up(answering("two"), owner="organization/project/other", overwrite=True)
    assert service.directory.is_taken_from(OWNER)
    whole_service.remove(service.folder / "state", "web", OWNER)
    front_door.remove(service.folder / "state", "web", OWNER)
    assert service.score() == '"two"'
    service.up(answering("one"), overwrite=True)


def test_a_services_state_is_measured(service: Service) -> None:
    name = f"scorer-{service.up(answering('measured')).number}"
    assert whole_service.measure(service.directory) == Measured(State.HEALTHY)
    service.supervisor._call("stopProcess", name)
    assert whole_service.measure(service.directory) == Measured(State.UNHEALTHY, (f"{name} is STOPPED",))
    service.supervisor.remove(name)
    assert whole_service.measure(service.directory) == Measured(State.UNHEALTHY, (f"{name} is missing",))
    service.supervisor.stop()
    assert whole_service.measure(service.directory).state == "Stopped"


def test_a_removed_service_leaves_no_process_and_no_file(service: Service) -> None:
    pid = service.pid(service.up(answering("one")))
    supervisor = int(service.directory.pid_file.read_text())
    for _ in range(2):  # twice is once
        whole_service.remove(service.folder / "state", "web", OWNER)
        assert is_gone(pid)
        assert is_gone(supervisor)
        assert not (service.folder / "state" / "services").exists()
