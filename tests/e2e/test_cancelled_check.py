"""A check that is cancelled, as a CI job is: nothing of it goes on, and nothing is left."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from serving.command import SERVER
from tests.e2e.project import Project
from tests.waiting import eventually

SLOW = """
import time


def init():
    time.sleep(600)


def run(data):
    return data
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose check waits for its script."""
    made = Project(tmp_path_factory.mktemp("check") / "project")
    made.score_alone(SLOW)
    yield made
    for process in made.processes():
        process.kill()


def start(made: Project, *around: str) -> subprocess.Popen[bytes]:
    """Start a check, and give it once its script runs; `around` is a command that runs it, as `make` does."""
    command = [*around, sys.executable, "-m", "operate", "check", "--stack", made.stack]
    check = subprocess.Popen(
        command,
        cwd=made.root,
        env={**made.environment, "MAKELEVEL": "1"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    before = servers(made)
    eventually(lambda: servers(made) - before, "the script runs", 120)
    return check


def servers(made: Project) -> set[int]:
    """The processes that serve the script."""
    return {process.pid for process in made.processes() if SERVER[1] in process.info["cmdline"]}


def nothing_left(made: Project) -> bool:
    return not made.processes() and not list((made.root / ".var").glob("c-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_order(slow: Project, number: int) -> None:
    check = start(slow)
    check.send_signal(number)
    assert check.wait(60) == 128 + number
    assert nothing_left(slow)


def test_it_does_not_outlive_a_killed_make(slow: Project) -> None:
    make = start(slow, "sh", "-c", '"$@"; :', "sh")
    make.kill()
    make.wait(10)
    eventually(lambda: nothing_left(slow), "nothing is left", 60)


def test_what_a_killed_one_left_is_removed_by_the_next(slow: Project) -> None:
    first = start(slow)
    first.kill()
    first.wait(10)
    (left,) = (slow.root / ".var").glob("c-*")
    assert servers(slow)
    second = start(slow)
    eventually(
        lambda: not left.exists() and servers(slow), "the second one's script runs, and nothing of the first", 60
    )
    second.terminate()
    second.wait(60)
    assert nothing_left(slow)
