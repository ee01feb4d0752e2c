"""`make new`, then `make check` and `make up`, with nothing edited between them."""

import json
import pickle
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests import onnx_models
from tests.built_environments import keep_alone
from tests.e2e.project import SOURCE, Project, project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose environments this test keeps between runs."""
    kept = SOURCE / ".var" / "cache" / "new-stack-tests"
    kept.mkdir(parents=True, exist_ok=True)
    with project(tmp_path_factory.mktemp("new") / "project") as found:
        (found.root / ".var" / "environments").symlink_to(kept)
        yield found
        newest = {path.name.rpartition("-")[0]: path for path in sorted(kept.glob("*-*"), key=_age)}
        keep_alone(*newest.values())


def _age(environment: Path) -> float:
    return environment.stat().st_mtime


def new(made: Project, stack: str, model: Path, **asked: str) -> str:
    """Write a stack, and give what its check says."""
    result = made.new(stack, model, **asked)
    assert result.code == 0, result.text
    assert f"make check STACK={stack}" in result.text
    checked = made.operate("check")
    assert checked.code == 0, checked.text
    return checked.text


def test_an_onnx_file_is_checked_deployed_and_called(made: Project, tmp_path: Path) -> None:
    onnx_models.save_scaling(tmp_path, 2)
    (tmp_path / "model.onnx").rename(tmp_path / "doubling.onnx")
    checked = new(made, "mine", tmp_path / "doubling.onnx", script="1")
    assert "model versions ready: 1; golden inferences right: 1; score.py is ready; its golden request right" in checked
    assert made.engine("stack", "init", "mine").code == 0
    try:
        made.up()
        outputs = made.outputs()
        key = {"Authorization": f"Bearer {outputs['primaryKey']}"}
        answer = httpx.post(outputs["scoringUri"], json={"x": [[1, 2], [3, 4]]}, headers=key, timeout=30)
        assert (answer.status_code, answer.json()) == (200, {"y": [[2.0, 4.0], [6.0, 8.0]]})
        refused = httpx.post(outputs["scoringUri"], json={"x": [1, 2]}, headers=key, timeout=30)
        assert (refused.status_code, "expected the shape [-1, 2]" in refused.text) == (400, True)
    finally:
        made.destroy()


def test_a_pickle_is_asked_in_its_own_environment(made: Project, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression  # here: every worker imports this file, one runs it

    classifier = LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], ["low", "high"])
    (tmp_path / "steps.pkl").write_bytes(pickle.dumps(classifier))
    checked = new(made, "steps", tmp_path / "steps.pkl")
    assert "score.py is ready; its golden request right" in checked
    assert f"scikit-learn=={version('scikit-learn')}" in (made.root / "stacks" / "Pulumi.steps.yaml").read_text()
    golden = json.loads((made.root / "scripts" / "steps" / "score.golden.json").read_text())
    assert set(golden["response"]["predictions"]) <= {"low", "high"}
