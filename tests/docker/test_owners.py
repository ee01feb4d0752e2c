"""Two stacks on one engine, renamed services, and what a killed rollout leaves: nobody loses what is theirs."""

import copy
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.front_door_options import Upstreams
from targets.docker import traffic
from targets.docker.service_folder import Folder
from tests.docker.conftest import Base
from tests.docker.project import DockerProject


@pytest.fixture
def new_project(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[Callable[[], DockerProject]]:
    """Make a project with the digits model, whose service is destroyed at the end of the test."""
    made: list[DockerProject] = []

    def make() -> DockerProject:
        folder = tmp_path_factory.mktemp("o") / "project"
        made.append(DockerProject(folder, base_image=base.triton, front_door_image=base.envoy))
        made[-1].add_model("digits")
        return made[-1]

    yield make
    for project in made:
        project.destroy()


def answers(project: DockerProject) -> bool:
    with project.client() as client:
        return client.get("/v2/models/digits/ready").status_code == 200


def break_the_model(project: DockerProject) -> None:
    file = project.root / "models" / "triton" / "digits" / "golden.json"
    golden = json.loads(file.read_text())
    golden["response"]["outputs"][0]["data"][0] += 1
    file.write_text(json.dumps(golden))


def test_a_service_is_taken_over_only_by_order_and_only_once_the_new_one_is_ready(
    new_project: Callable[[], DockerProject],
) -> None:
    first, second = new_project(), new_project()
    first.up()
    second.port = first.port
    second.write_settings(serviceName=first.service, deployment={"port": first.port})
    before = first.containers()
    assert f"serviceName '{first.service}' is taken on this Docker engine" in second.up(fails=True)

    file = second.root / "models" / "triton" / "digits" / "golden.json"
    right = file.read_text()
    break_the_model(second)
    second.write_settings(deployment={"overwrite": True})
    assert "golden inference" in second.up(fails=True)
    assert first.containers() == before
    assert answers(first)

    file.write_text(right)
    second.up()
    assert answers(second)
    assert not before.items() & second.containers().items()

    taken = second.containers()
    first.destroy()
    assert second.containers() == taken
    assert answers(second)


def test_a_stack_of_the_same_folder_that_took_a_service_over_keeps_its_files(
    new_project: Callable[[], DockerProject],
) -> None:
    project = new_project()
    project.up()
    file = project.root / "stacks" / f"Pulumi.{project.stack}.yaml"
    content = yaml.safe_load(file.read_text())
    content.pop("encryptionsalt", None)
    content["config"]["triton-serving:deployment"]["overwrite"] = True
    file.with_name("Pulumi.other.yaml").write_text(yaml.safe_dump(content))
    for arguments in (("stack", "init", "other"), ("up", "--yes", "--stack", "other")):
        result = project.engine(*arguments)
        assert result.code == 0, result.text
    try:
        project.destroy()
        folder = Folder.of(project.root / ".var", project.service)
        assert "/other of " in folder.record().owner
        assert list(folder.envoy.iterdir())
        key = project.outputs("other")["primaryKey"]
        asked = httpx.get(f"{project.url}/v2/models/digits/ready", headers={"Authorization": f"Bearer {key}"})
        assert asked.status_code == httpx.codes.OK
    finally:
        assert project.engine("destroy", "--yes", "--stack", "other").code == 0
    assert not folder.root.exists()


def test_a_service_keeps_its_port_open_under_a_new_name(new_project: Callable[[], DockerProject]) -> None:
    project = new_project()
    project.up()
    old, door, key = project.service, project.container("front-door").id, project.outputs()["primaryKey"]
    counts: dict[str, int] = {}
    over = threading.Event()
    client = threading.Thread(target=opening, args=(f"{project.url}/v2/models/digits/ready", key, counts, over))
    client.start()
    try:
        project.write_settings(serviceName=f"new-{old}")
        project.up()
    finally:
        over.set()
        client.join()
    assert set(counts) == {"200"}
    assert counts["200"] > 100
    assert project.sdk.containers.get(f"new-{old}-front-door").id == door
    assert not [c.name for c in project.sdk.containers.list(all=True) if c.name.startswith(old)]
    status = project.operate("status")
    assert status.code == 0, status.text
    assert f"new-{old}-front-door" in status.text
    assert f"new-{old}-front-door" in project.operate("logs").text
    # Nothing holds the old name.
    other = new_project()
    other.write_settings(serviceName=old)
    other.up()
    assert answers(other)
    assert answers(project)


def opening(url: str, key: str, counts: dict[str, int], over: threading.Event) -> None:
    """Ask over a new connection each time until it is over, and count the answers."""
    while not over.is_set():
        try:
            answer = str(httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code)
        except httpx.HTTPError as error:
            answer = repr(error)
        counts[answer] = counts.get(answer, 0) + 1


def test_a_moved_folder_is_the_same_stack_and_a_copied_one_another(new_project: Callable[[], DockerProject]) -> None:
    project = new_project()
    project.up()
    before = project.containers()
    copied = elsewhere(project, project.root.with_name("copied"))
    subprocess.run(["cp", "-a", str(project.root), str(copied.root)], check=True)
    assert f"serviceName '{project.service}' is taken on this Docker engine by" in copied.up(fails=True)
    refused = copied.engine("destroy", "--yes", "--stack", copied.stack)
    assert refused.code != 0
    assert f"was copied from {project.root}/.var" in refused.text
    assert project.containers() == before
    assert answers(project)

    moved = elsewhere(project, project.root.rename(project.root.with_name("moved")))
    moved.up()
    assert answers(moved)
    moved.destroy()
    assert project.containers() == {}
    assert not (moved.root / ".var" / "docker").exists()


def elsewhere(made: DockerProject, root: Path) -> DockerProject:
    """The same project, as it lies in another folder."""
    other = copy.copy(made)
    other.root = root
    other.environment = {name: value.replace(str(made.root), str(root)) for name, value in made.environment.items()}
    return other


def test_what_a_killed_rollout_left_takes_no_traffic_when_the_next_one_fails(
    new_project: Callable[[], DockerProject],
) -> None:
    project = new_project()
    project.up()
    folder = Folder.of(Path(project.root / ".var"), project.service)
    (name,) = [name for name in project.containers() if name.endswith("-network")]
    left = project.sdk.containers.get(name)
    copy = project.sdk.containers.create(left.image, "sleep infinity", labels=left.labels | {
        "triton-serving.generation": "7", "triton-serving.role": "network",
    })  # fmt: skip
    nowhere: Upstreams = traffic.upstreams(("triton",), "127.0.0.9", 1)
    traffic.send_to(folder, nowhere)
    with project.client() as client:
        assert client.get("/v2/models/digits/ready").status_code == httpx.codes.SERVICE_UNAVAILABLE
    break_the_model(project)
    assert "golden inference" in project.up(fails=True)
    assert copy.name not in project.containers()
    assert answers(project)
