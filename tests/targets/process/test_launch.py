import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from targets.process.programs import Launch
from targets.process.supervisor import LAUNCH
from tests.targets.process.conftest import is_gone
from tests.waiting import eventually

TELL = """
import json, os, resource
print(json.dumps([dict(os.environ), os.getcwd(), resource.getrlimit(resource.RLIMIT_NOFILE)]), flush=True)
"""


@pytest.fixture
def launch_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(code: str, **variables: str) -> Path:
        launch = Launch(command=[sys.executable, "-c", code], directory=tmp_path, variables=variables)
        file = tmp_path / "program.json"
        file.write_text(launch.to_json())
        return file

    return write


def test_a_process_has_the_files_variables_and_no_other(
    launch_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    own_pid = tmp_path / "pid"
    own_pid.write_text(str(os.getpid()))
    file = launch_file(TELL, LANG="C.UTF-8", WORKER_COUNT="2")
    variables, folder, (soft, hard) = json.loads(
        subprocess.check_output([sys.executable, str(LAUNCH), str(file), str(own_pid)])
    )
    assert {name: value for name, value in variables.items() if name != "LC_CTYPE"} == {
        "LANG": "C.UTF-8",
        "WORKER_COUNT": "2",
        "TRITON_SERVING_PROGRAM": "program",
    }
    assert folder == str(tmp_path)
    assert soft == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def supervisor(file: Path, pid_file: Path) -> subprocess.Popen[str]:
    """A parent that says who it is and starts the process of `file`."""
    code = f"""
import os, subprocess
open({str(pid_file)!r}, "w").write(str(os.getpid()))
subprocess.run([{sys.executable!r}, {str(LAUNCH)!r}, {str(file)!r}, {str(pid_file)!r}])
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_process_dies_with_its_supervisor(launch_file: Callable[..., Path], tmp_path: Path) -> None:
    file = launch_file("import os, signal; print(os.getpid(), flush=True); signal.pause()")
    with supervisor(file, tmp_path / "pid") as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    eventually(lambda: is_gone(pid))


def test_a_process_whose_supervisor_died_first_does_not_start(launch_file: Callable[..., Path], tmp_path: Path) -> None:
    file = launch_file("print('started')")
    gate = tmp_path / "gate"
    os.mkfifo(gate)  # the process waits here until its file is written
    with supervisor(gate, tmp_path / "pid") as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        with gate.open("w") as writer:  # opens once the process reads
            parent.kill()
            parent.wait(10)
            writer.write(file.read_text())
        assert parent.stdout.read() == ""
        assert parent.stderr.read() == "the supervisor is gone\n"
