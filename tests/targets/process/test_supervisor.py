"""The supervisor keeps programs running, keeps their logs small, and leaves nobody behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import psutil
import pytest

from targets.errors import ServiceError
from targets.process.service_folder import ServiceDirectory
from targets.process.supervisor import Supervisor
from tests.targets.process.conftest import Programs, claimed, is_gone
from tests.waiting import eventually

PAUSE = "import signal; signal.pause()"


def supervisor_pid(directory: ServiceDirectory) -> int:
    return int(directory.pid_file.read_text())


def test_a_programs_output_is_in_its_log_for_the_owners_eyes(programs: Programs) -> None:
    programs.add("greeter", "import os, signal; print('hello', flush=True); os.write(2, b'error\\n'); signal.pause()")
    eventually(lambda: programs.log("greeter").is_file() and programs.log("greeter").read_text() == "hello\nerror\n")
    assert stat.S_IMODE(programs.log("greeter").stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(programs.directory.socket.stat().st_mode) == 0o600


def test_a_killed_program_comes_back(programs: Programs) -> None:
    programs.add("victim", PAUSE)
    pid = programs.await_start("victim")
    eventually(lambda: programs.process("victim").state == "RUNNING")
    os.kill(pid, signal.SIGKILL)
    assert psutil.pid_exists(programs.await_start("victim", after=pid))


def test_a_program_that_cannot_live_shows_it(programs: Programs) -> None:
    programs.add("fragile", "raise SystemExit('no way to live')")
    eventually(lambda: programs.process("fragile").state == "BACKOFF")
    assert "no way to live\n" in programs.log("fragile").read_text()
    programs.supervisor.remove("fragile")
    assert "fragile" not in programs.supervisor.processes()


def test_a_stopped_program_is_started_and_a_running_one_left_alone(programs: Programs) -> None:
    programs.add("sleeper", PAUSE)
    pid = programs.await_start("sleeper")
    programs.supervisor.restart("sleeper")
    assert programs.process("sleeper").pid == pid
    programs.supervisor._call("stopProcess", "sleeper")
    assert programs.process("sleeper").pid == 0
    programs.supervisor.restart("sleeper")
    assert programs.await_start("sleeper") != pid


def test_programs_come_and_go_without_touching_the_others(programs: Programs) -> None:
    programs.add("stays", PAUSE)
    programs.add("goes", PAUSE)
    stays, goes = programs.await_start("stays"), programs.await_start("goes")
    programs.supervisor.remove("goes")
    assert is_gone(goes)
    assert "goes" not in programs.supervisor.processes()
    assert programs.process("stays").pid == stays
    programs.supervisor.remove("goes")  # nothing happens


def test_a_program_that_does_not_stop_is_killed_with_its_children(programs: Programs) -> None:
    code = """
        import signal, subprocess
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
        while True:
            signal.pause()
    """
    programs.add("stubborn", code)
    pid = programs.await_start("stubborn")
    eventually(lambda: programs.log("stubborn").is_file() and programs.log("stubborn").read_text().endswith("\n"))
    programs.supervisor.remove("stubborn")
    assert is_gone(pid)
    eventually(lambda: is_gone(int(programs.log("stubborn").read_text())))


def test_a_programs_standard_output_may_have_a_log_of_its_own(programs: Programs) -> None:
    programs.add(
        "writer",
        "import os, signal; print('line', flush=True); os.write(2, b'error\\n'); signal.pause()",
        output=programs.log("lines"),
    )
    for log, text in (("lines", "line\n"), ("writer", "error\n")):
        eventually(lambda log=log, text=text: programs.log(log).is_file() and programs.log(log).read_text() == text)
        assert stat.S_IMODE(programs.log(log).stat().st_mode) & 0o077 == 0


def test_logs_are_rotated(programs: Programs) -> None:
    programs.add("talker", "import signal\nfor _ in range(32): print('x' * 1_000_000, flush=True)\nsignal.pause()")
    logs = programs.directory.logs
    eventually(lambda: sum(file.stat().st_size for file in logs.glob("talker.log*")) == 32 * 1_000_001)
    sizes = {file.name: file.stat().st_size for file in logs.glob("talker.log*")}
    assert {"talker.log", "talker.log.1", "talker.log.2"} <= set(sizes)
    assert max(sizes.values()) < 12_000_000


def test_variables_are_in_no_command_line_and_no_configuration(programs: Programs) -> None:
    programs.add("bearer", PAUSE, TOKEN="a-token")
    assert "a-token" not in " ".join(psutil.Process(programs.await_start("bearer")).cmdline())
    for file in programs.directory.root.rglob("*.conf"):
        assert "a-token" not in file.read_text()


def test_secrets_of_whoever_deploys_are_not_handed_on(
    directory: ServiceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a-passphrase")
    Supervisor(directory).start()
    environment = Path("/proc", str(supervisor_pid(directory)), "environ").read_bytes()
    assert b"PATH=" in environment
    assert b"a-passphrase" not in environment


def test_a_running_supervisor_is_not_started_again(programs: Programs) -> None:
    pid = supervisor_pid(programs.directory)
    assert not Supervisor(programs.directory).start()
    assert supervisor_pid(programs.directory) == pid


def test_a_killed_supervisor_takes_its_programs_along_and_the_next_one_starts_empty(own_programs: Programs) -> None:
    own_programs.add("worker", PAUSE)
    pid = own_programs.await_start("worker")
    os.kill(supervisor_pid(own_programs.directory), signal.SIGKILL)
    eventually(lambda: is_gone(pid))
    assert not own_programs.supervisor.is_running()
    assert own_programs.supervisor.processes() == {}

    assert own_programs.supervisor.start()
    assert own_programs.supervisor.processes() == {}
    own_programs.add("worker", PAUSE)
    assert own_programs.await_start("worker") != pid


def test_stopping_leaves_no_process_and_no_socket(own_programs: Programs) -> None:
    for name in ("one", "two"):
        own_programs.add(name, PAUSE)
    own_programs.add("left-behind", "import os, signal; os.fork(); signal.pause()")
    pids = [own_programs.await_start(name) for name in ("one", "two", "left-behind")]
    eventually(lambda: psutil.Process(pids[-1]).children())
    pids += [child.pid for child in psutil.Process(pids[-1]).children()]
    pids.append(supervisor_pid(own_programs.directory))
    own_programs.supervisor.stop()
    assert all(is_gone(pid) for pid in pids)
    assert not own_programs.directory.socket.exists()
    own_programs.supervisor.stop()  # nothing happens


@pytest.mark.parametrize("name", ["100%", "%(ENV_HOME)s", 'it\'s "quoted"', "a;b#c", "$HOME `id` \\\\ é", "$(id)"])
def test_a_folder_whose_name_has_characters_with_a_meaning_to_supervisord(tmp_path: Path, name: str) -> None:
    with claimed(tmp_path / name) as directory:
        supervisor = Supervisor(directory)
        supervisor.start()
        made = Programs(directory, supervisor)
        made.add("greeter", "import os, signal; print(os.getcwd(), flush=True); signal.pause()")
        eventually(lambda: made.log("greeter").is_file() and made.log("greeter").read_text() == f"{directory.root}\n")
        assert (directory.root / "logs" / "supervisord.log").is_file()


@pytest.mark.parametrize("name", ["a ;b", "a #b", "a\nb", "[a]", "a*"])
def test_a_folder_in_which_supervisord_would_read_something_else_is_refused(tmp_path: Path, name: str) -> None:
    directory = ServiceDirectory.of(tmp_path / name, "web")
    with pytest.raises(ServiceError, match="which has a meaning to supervisord; choose another folder"):
        Supervisor(directory).start()
    assert not directory.root.exists()


def family_of(programs: Programs) -> list[int]:
    programs.add("worker", PAUSE)
    return [programs.await_start("worker"), supervisor_pid(programs.directory)]


@pytest.mark.parametrize("deep", ["", "d" * 100], ids=["a socket in the folder", "a socket elsewhere"])
def test_a_moved_folder_ends_what_it_started(tmp_path: Path, deep: str) -> None:
    former = tmp_path / "former" / deep
    with claimed(former) as directory:
        supervisor = Supervisor(directory)
        supervisor.start()
        pids = family_of(Programs(directory, supervisor))
        (tmp_path / "former").rename(tmp_path / "moved")
        moved = Supervisor(ServiceDirectory.of(tmp_path / "moved" / deep, "web"))
        assert moved.is_running()
        moved.remove("worker")
        assert is_gone(pids[0])
        moved.stop()
        assert is_gone(pids[1])


def test_a_copied_folder_has_no_supervisor_and_stops_nothing(own_programs: Programs, tmp_path: Path) -> None:
    pids = family_of(own_programs)
    copied = tmp_path / "copied"
    shutil.copytree(
        own_programs.directory.root.parents[1], copied, ignore=lambda folder, names: {n for n in names if "sock" in n}
    )
    supervisor = Supervisor(ServiceDirectory.of(copied, "web"))
    assert not supervisor.is_running()
    supervisor.stop()
    assert not any(is_gone(pid) for pid in pids)


def test_a_supervisor_whose_socket_is_gone_is_stopped(own_programs: Programs) -> None:
    pids = family_of(own_programs)
    own_programs.directory.socket.unlink()
    assert not own_programs.supervisor.is_running()
    own_programs.supervisor.stop()
    assert all(is_gone(pid) for pid in pids)


def test_a_process_that_has_the_id_of_a_supervisor_of_before_is_left_alone(tmp_path: Path) -> None:
    with claimed(tmp_path) as directory, subprocess.Popen(["sleep", "60"]) as stranger:
        directory.pid_file.write_text(str(stranger.pid))
        Supervisor(directory).stop()
        assert stranger.poll() is None
        stranger.kill()


def test_programs_that_outlive_a_killed_supervisor_are_stopped(own_programs: Programs) -> None:
    code = "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\nsignal.pause()"
    own_programs.add("worker", code)
    pid = own_programs.await_start("worker")
    eventually(lambda: own_programs.log("worker").is_file() and own_programs.log("worker").read_text())
    os.kill(supervisor_pid(own_programs.directory), signal.SIGKILL)
    [stubborn] = psutil.Process(pid).children()
    own_programs.supervisor.stop(seconds=0.1)
    assert not stubborn.is_running()
    eventually(lambda: is_gone(pid), "what kept it ends with it")
