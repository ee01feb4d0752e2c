"""Scripts that find their models by `Model.get_model_path`, without Azure's SDK."""

import json
from pathlib import Path

import pytest

from tests.serving.conftest import StartServer
from tests.serving.servers import PROJECT

SCRIPT = """
import json
from azureml.core import Model as same
from azureml.core.model import Model
assert same is Model

def init():
    pass

def run(data):
    try:
        return Model.get_model_path(*json.loads(data))
    except FileNotFoundError as error:
        return {"error": str(error)}
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for file in ("one/9/model.pkl", "one/10/model.pkl", "two/1/outputs/a.bin", "several/3/a.bin", "several/3/b.bin"):
        path = tmp_path / "azureml-models" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "azureml-models"


def test_every_deployed_model_is_found_by_its_name(start: StartServer, models: Path) -> None:
    server = start(SCRIPT, variables={"AZUREML_MODEL_DIR": str(models)})

    def ask(*arguments: object) -> object:
        return server.score(json.dumps(arguments)).json()

    assert ask("one") == str(models / "one/10/model.pkl")
    assert ask("one", 9) == str(models / "one/9/model.pkl")
    assert ask("two") == str(models / "two/1/outputs")
    assert ask("several", 3) == str(models / "several/3")
    deployed = "deployed are: one:9, one:10, several:3, two:1"
    assert ask("one", 8) == {"error": f"model 'one:8' is not deployed with this script; {deployed}"}


def test_the_only_model_is_found_by_its_name(start: StartServer, models: Path) -> None:
    server = start(SCRIPT, variables={"AZUREML_MODEL_DIR": str(models / "two" / "1")})
    assert server.score('["two"]').json() == str(models / "two/1/outputs")
    assert server.score('["one"]').json() == {
        "error": "model 'one' is not deployed with this script; deployed are: two:1"
    }


def test_an_installed_sdk_finds_them_too_and_keeps_the_rest(start: StartServer, models: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed" / "azureml" / "core"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("from azureml.core.model import Model\n")
    (installed / "model.py").write_text(
        "class Model:\n"
        "    rest = 'kept'\n"
        "    @staticmethod\n"
        "    def get_model_path(model_name, version=None, _workspace=None):\n"
        "        return ['theirs', model_name, version, Model.rest]\n"
    )
    paths = f"{PROJECT}:{installed.parents[1]}"
    server = start(SCRIPT, variables={"AZUREML_MODEL_DIR": str(models), "PYTHONPATH": paths})
    assert server.score('["one"]').json() == str(models / "one/10/model.pkl")
    assert server.score('["elsewhere", 2]').json() == "['theirs', 'elsewhere', 2, 'kept']"
