"""What `make logs` prints: lines of the access log for people, or these alone as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from settings.load import read_stack_file
from settings.schema import Target
from targets.contract import TARGETS, Stack, verbs_of
from targets.errors import ServiceError
from targets.log_lines import print_line, print_output
from targets.process import logs
from targets.process.service_folder import Record, ServiceDirectory
from tests.gateway.test_access_log import LINE

PROJECT = Path(__file__).resolve().parents[2]
JSON = json.dumps(LINE)
WRITTEN = f"I1129 model 'wine' is ready\n{JSON}\n[pod/door-1/envoy] {JSON}\n"


def test_people_get_every_line_and_programs_the_access_log_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text(WRITTEN)
    assert print_output(["cat", str(tmp_path / "log")], as_json=False) == 0
    shown = capfd.readouterr().out.splitlines()
    assert [line.split(" 2026-")[0] for line in shown[::2]] == ["I1129 model 'wine' is ready", "[pod/door-1/envoy]"]
    assert shown[1].startswith("2026-11-29 02:09:20.960 200 POST /v2/models/wine/infer 11.8 ms")
    print_output(["cat", str(tmp_path / "log")], as_json=True)
    assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == [LINE, LINE]


def test_a_line_has_its_source_before_it_for_people_alone(capfd: pytest.CaptureFixture[str]) -> None:
    print_line(JSON, as_json=False, before="web-front-door: ")
    print_line(JSON, as_json=True, before="web-front-door: ")
    people, programs = capfd.readouterr().out.splitlines()
    assert people.startswith("web-front-door: 2026-11-29 02:09:20.960 200")
    assert programs == JSON


def test_a_commands_exit_code_is_given_on() -> None:
    assert print_output(["sh", "-c", "exit 3"], as_json=False) == 3


def test_following_ends_when_nobody_reads_any_longer(tmp_path: Path) -> None:
    """As with `make logs FOLLOW=1 | head -1`; the command that follows ends too."""
    code = (
        "from common.standard_streams import keep_open; from targets.log_lines import print_output; keep_open();"
        "print_output(['sh', '-c', 'echo $$; while :; do echo more; sleep 0.05; done'], as_json=False)"
    )
    following = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None
    shell = int(following.stdout.readline())
    following.stdout.close()
    assert following.wait(10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(shell, 0)


@pytest.fixture
def stack() -> Stack:
    return Stack(settings=read_stack_file(PROJECT, "local", form_alone=True))


@pytest.fixture
def deployed(tmp_path: Path, stack: Stack) -> Stack:
    """A stack whose service has a folder for its logs, and no line in it."""
    made = Stack(settings=stack.settings.model_copy(update={"state_directory": str(tmp_path)}))
    directory = ServiceDirectory.of(tmp_path, made.settings.service_name)
    directory.logs.mkdir(parents=True)
    directory.write_record(Record(owner="organization/p/local"))
    return made


def test_on_this_machine_the_access_log_has_a_file_of_its_own(
    tmp_path: Path, deployed: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = ServiceDirectory.of(tmp_path, deployed.settings.service_name)
    directory.envoy_log.write_text("[warning] Envoy's own\n")
    directory.access_log.write_text(f"{JSON}\n")
    assert logs.show(deployed, follow=False, as_json=False, lines=50) == 0
    shown = capfd.readouterr().out
    assert "==> " in shown
    assert "Envoy's own" in shown
    assert "200 POST /v2/models/wine/infer 11.8 ms" in shown
    assert logs.show(deployed, follow=False, as_json=True, lines=50) == 0
    assert capfd.readouterr().out == f"{JSON}\n"


@pytest.mark.parametrize("target", Target)
def test_each_target_is_told_how_many_lines_to_show(
    target: Target, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    shown = import_module(f"{TARGETS[target]}.logs")
    monkeypatch.setattr(shown, "show", lambda _, *, follow, as_json, lines: asked.append(lines) or 0)
    verbs_of(target).logs(stack, follow=False, as_json=False)
    verbs_of(target).logs(stack, follow=False, as_json=False, lines=1000)
    assert asked == [50, 1000]


def test_as_many_lines_are_shown_as_are_asked_for(
    tmp_path: Path, deployed: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = ServiceDirectory.of(tmp_path, deployed.settings.service_name)
    directory.access_log.write_text(f"{JSON}\n" * 70)
    assert logs.show(deployed, follow=False, as_json=True, lines=60) == 0
    assert capfd.readouterr().out == f"{JSON}\n" * 60


def test_where_the_access_log_is_off_there_is_no_json(stack: Stack) -> None:
    settings = stack.settings
    off = settings.deployment.model_copy(update={"access_log": False})
    silent = Stack(settings=settings.model_copy(update={"deployment": off}))
    with pytest.raises(ServiceError, match=r"deployment\.accessLog is false"):
        verbs_of(settings.deployment.target).logs(silent, follow=False, as_json=True)
