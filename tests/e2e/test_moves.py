"""A deployed folder that is renamed, moved, copied or deleted: its records go out of date, and nothing is lost or left."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.project import Project, project

SCRIPT = """
def init():
    pass


def run(data):
    return "fine"
"""


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Project]:
    """A scoring-only service, deployed from a folder of the test's own."""
    with project(tmp_path / "project") as made:
        made.previews = False
        (made.root / "models").mkdir()
        (made.root / "models" / "weights").write_text("1")
        made.write_script(SCRIPT)
        made.write_settings(
            models=[{"path": "models", "name": "m", "framework": "Custom"}],
            entryScript="score.py",
            environment={"variables": {"WORKER_COUNT": "1"}},
        )
        made.up()
        yield made


def opening(url: str, key: str, counts: dict[str, int], over: threading.Event) -> None:
    """Ask over a new connection each time until it is over, and count the answers."""
    headers = {"Authorization": f"Bearer {key}"}
    while not over.is_set():
        try:
            answer = str(httpx.post(f"{url}/score", json={}, headers=headers, timeout=30).status_code)
        except httpx.HTTPError as error:
            answer = repr(error)
        counts[answer] = counts.get(answer, 0) + 1


def test_a_renamed_service_loses_no_request(deployed: Project) -> None:
    envoy, key = deployed.pids["envoy"], deployed.outputs()["primaryKey"]
    seen: list[dict[str, int]] = [{}, {}]
    over = threading.Event()
    clients = [threading.Thread(target=opening, args=(deployed.url, key, counts, over)) for counts in seen]
    for client in clients:
        client.start()
    try:
        deployed.write_settings(serviceName="renamed")
        deployed.up()
        assert deployed.outputs()["state"] == "Healthy"
        deployed.write_settings(serviceName="again")
        deployed.up()
    finally:
        over.set()
        for client in clients:
            client.join()
    assert [set(counts) for counts in seen] == [{"200"}, {"200"}]
    assert sum(sum(counts.values()) for counts in seen) > 100
    assert deployed.pids["envoy"] == envoy
    assert [path.name for path in (deployed.root / ".var" / "services").glob("*/")] == ["svc"]
    deployed.destroy()
    assert deployed.processes() == []
