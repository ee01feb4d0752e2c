"""A service that is renamed, and its folder moved, copied or deleted: nothing is lost, left, or another's ended."""

import copy
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.project import SOURCE, Project
from tests.waiting import NOBODY_ANSWERS, eventually

SCRIPT = """
def init():
    pass


def run(data):
    return "fine"
"""


class Place:
    """Where the project lies now; the tests of this module follow each other."""

    def __init__(self, made: Project) -> None:
        self.project = made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A scoring-only service, deployed once."""
    made = Project(tmp_path_factory.mktemp("moves") / "project")
    made.previews = False
    made.score_alone(SCRIPT)
    found = Place(made)
    try:
        made.up()
        yield found
    finally:
        found.project.destroy()


def opening(url: str, key: str, counts: dict[str, int], over: threading.Event) -> None:
    """Ask over a new connection each time until it is over, and count the answers."""
    headers = {"Authorization": f"Bearer {key}"}
    while not over.is_set():
        try:
            answer = str(httpx.post(f"{url}/score", json={}, headers=headers, timeout=30).status_code)
        except httpx.HTTPError as error:
            answer = repr(error)
        counts[answer] = counts.get(answer, 0) + 1


def elsewhere(made: Project, root: Path) -> Project:
    """The same project, as it lies in another folder."""
    other = copy.copy(made)
    other.root = root
    other.environment = {name: value.replace(str(made.root), str(root)) for name, value in made.environment.items()}
    return other


def family(made: Project) -> list[psutil.Process]:
    supervisor = psutil.Process(made.pids["supervisord"])
    return [supervisor, *supervisor.children(recursive=True)]


def answers(made: Project) -> bool:
    with made.client() as client:
        return client.post("/score", json={}).text == '"fine"'


def test_a_renamed_service_loses_no_request(place: Place) -> None:
    deployed = place.project
    envoy, key = deployed.pids["envoy"], deployed.outputs()["primaryKey"]
    seen: list[dict[str, int]] = [{}, {}]
    over = threading.Event()
    clients = [threading.Thread(target=opening, args=(deployed.url, key, counts, over)) for counts in seen]
    for client in clients:
        client.start()
    try:
        deployed.write_settings(serviceName="renamed")
        deployed.up()
    finally:
        over.set()
        for client in clients:
            client.join()
    assert [set(counts) for counts in seen] == [{"200"}, {"200"}]
    assert sum(sum(counts.values()) for counts in seen) > 20
    assert deployed.outputs()["state"] == "Healthy"
    assert (deployed.directory.name, deployed.pids["envoy"]) == ("renamed", envoy)


def test_a_systemd_unit_starts_a_killed_supervisor_again(place: Place, tmp_path: Path) -> None:
    deployed = place.project
    (deployed.root / ".venv").symlink_to(SOURCE / ".venv")
    deployed.environment["XDG_CONFIG_HOME"] = str(tmp_path)
    written = deployed.operate("service-unit")
    assert written.code == 0, written.text
    file = tmp_path / "systemd" / "user" / "triton-serving-e2e.service"
    assert f"{file} is written" in written.text
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
        assert (verified.returncode, verified.stderr) == (0, "")

    lines = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}  # as systemd gives it
    command = shlex.split(lines["ExecStart"])
    with subprocess.Popen(command, cwd=lines["WorkingDirectory"], env=environment) as watch:
        try:
            before = family(deployed)
            before[0].kill()
            eventually(lambda: deployed.pids.get("supervisord") != before[0].pid, "another supervisor runs", 60)
            eventually(lambda: answers(deployed), "the service answers again", 60, ignoring=NOBODY_ANSWERS)
            assert not any(process.is_running() for process in before)
        finally:
            watch.terminate()
    assert answers(deployed)


def test_a_copy_leaves_the_original_alone(place: Place) -> None:
    deployed = place.project
    copied = elsewhere(deployed, deployed.root.with_name("copied"))
    subprocess.run(["cp", "-a", str(deployed.root), str(copied.root)], check=True)
    before = deployed.pids
    [envoy] = psutil.Process(before["envoy"]).children()  # the supervisor's own process keeps it
    text = copied.up(fails=True)
    assert f"deployment.port {deployed.port} is taken by process {envoy.pid} (envoy" in text
    assert f"of the service in {deployed.directory.root}, whose supervisor is process {before['supervisord']}" in text
    copied.destroy()
    assert not (copied.root / ".var" / "services").exists()
    assert deployed.pids == before
    assert answers(deployed)


def test_a_moved_folder_is_deployed_from_where_it_is(place: Place) -> None:
    former, before = place.project.directory.root, family(place.project)
    moved = elsewhere(place.project, place.project.root.rename(place.project.root.with_name("moved")))
    place.project = moved
    assert f"the folder was {former} before" in moved.up()
    assert not any(process.is_running() for process in before)
    assert moved.outputs()["state"] == "Healthy"
    assert answers(moved)


def test_what_a_deleted_folder_left_is_ended_by_the_next_up(place: Place) -> None:
    before = family(place.project)
    shutil.rmtree(place.project.root / ".var" / "services")
    place.project.up()
    assert not any(process.is_running() for process in before)
    assert answers(place.project)


def test_a_copy_whose_original_is_gone_ends_what_that_had_started(place: Place) -> None:
    # So it looks after a move to another file system.
    original, running = place.project, family(place.project)
    place.project = elsewhere(original, original.root.with_name("last"))
    subprocess.run(["cp", "-a", str(original.root), str(place.project.root)], check=True)
    shutil.rmtree(original.root)
    place.project.destroy()
    assert not any(process.is_running() for process in running)
    assert not (place.project.root / ".var" / "services").exists()
