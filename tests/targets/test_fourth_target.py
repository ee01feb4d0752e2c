"""A fourth target needs its own folder and three edits: the test makes them in a copy of the project."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.project import Project, project

TOY = Path(__file__).with_name("toy")
EDITS = {
    "bundle/frameworks.py": ('"docker", "node-pool")\nIMAGE', '"docker", "node-pool", "toy")\nIMAGE'),
    "settings/schema.py": ('    NODE_POOL = "node-pool"\n', '    NODE_POOL = "node-pool"\n    TOY = "toy"\n'),
    "targets/contract.py": (
        '    Target.NODE_POOL: "targets.node_pool",\n',
        '    Target.NODE_POOL: "targets.node_pool",\n    Target.TOY: "targets.toy",\n',
    ),
}


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Project]:
    """The project with the target `toy` in it."""
    with project(tmp_path / "project") as made:
        shutil.copytree(TOY, made.root / "targets" / "toy")
        for file, (old, new) in EDITS.items():
            text = (made.root / file).read_text()
            assert text.count(old) == 1
            (made.root / file).write_text(text.replace(old, new))
        made.add_model("digits")
        made.write_settings(deployment={"target": "toy"})
        yield made


def test_a_fourth_target_serves_is_measured_and_goes(toys: Project) -> None:
    assert "1 models are in memory" in toys.up()
    key = toys.outputs()["primaryKey"]
    ready = f"http://127.0.0.1:{toys.port}/v2/health/ready"
    assert httpx.get(ready, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert httpx.get(ready).status_code == 401

    again = toys.engine("preview", "--stack", toys.stack)
    assert "unchanged" in again.text, again.text
    assert "update" not in again.text.split("Resources:")[1]

    gone = toys.engine("destroy", "--stack", toys.stack, "--yes")
    assert gone.code == 0, gone.text
    with pytest.raises(httpx.ConnectError):
        httpx.get(ready)
