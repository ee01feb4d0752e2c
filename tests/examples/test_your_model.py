"""The page "Your model in ten minutes": what it tells to write and to run does what it says."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bundle.bundle_types import Golden, Model, Tensor
from bundle.golden_file import load
from bundle.layout import check_layout
from environment.uv_command import run_uv
from tests.e2e.project import Project
from tests.examples.page import Page

PAGE = Page("your-model.md")


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the environment that the page makes for exports."""
    folder = tmp_path_factory.mktemp("export") / "venv"
    install = next(line for block in PAGE.blocks("sh") for line in block.splitlines() if "pip install" in line)
    packages = shlex.split(install.partition("pip install")[2])
    run_uv(["venv", str(folder)], progress=print)
    run_uv(["pip", "install", "--python", str(folder / "bin" / "python"), *packages], progress=print)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, exporter: Path) -> Project:
    """A copy of the project with the page's files, after its commands but those that deploy and call."""
    made = Project(tmp_path_factory.mktemp("mine") / "project", stack="mine")
    PAGE.write(made.root)
    for line in (line for block in PAGE.blocks("sh") for line in block.splitlines()):
        if line.startswith((".var/export/bin/python ", "cp ", "cat ")):
            command = line.replace(".var/export/bin/python", str(exporter))
            done = subprocess.run(["bash", "-c", command], cwd=made.root, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}: {done.stderr}"
    return made


@pytest.mark.parametrize("target", ["process", "docker"])
def test_every_bundle_of_the_page_has_triton_s_layout(written: Project, target: str) -> None:
    bundle = check_layout(written.root / "my_models", target=target)
    assert {model.name: (model.max_batch_size, bool(model.golden)) for model in bundle.models} == {
        "iris": (64, True),
        "iris_from_text": (64, True),
        "iris_pickle": (64, True),
        "measures": (64, False),
    }
    (iris,) = (model for model in bundle.models if model.name == "iris")
    assert {tensor.labels for tensor in iris.outputs} == {None, "species.txt"}


def test_models_of_each_chapter_answer_as_the_page_expects(written: Project) -> None:
    result = written.operate("check")
    assert result.code == 0, result.text
    stated = re.findall(r"model versions ready: \d+; golden inferences right: \d+", PAGE.text)
    assert stated[-1] in result.text
    assert "no golden inference is asked of 'measures'" in result.text


def test_the_pickle_answers_its_golden_request_in_the_entry_script(written: Project) -> None:
    written.stack = "pickle"
    try:
        result = written.operate("check")
    finally:
        written.stack = "mine"
    assert result.code == 0, result.text
    assert "score_iris.py is ready; its golden request right" in result.text


def test_one_command_writes_what_the_page_shows(written: Project) -> None:
    shutil.copy(written.root / "my_models/triton/iris/1/model.onnx", written.root / "iris.onnx")
    (shown,) = PAGE.blocks("console")
    command, _, told = shown.partition("\n")
    asked = dict(word.split("=") for word in shlex.split(command) if "=" in word)
    result = written.new(asked["NAME"], Path(asked["MODEL"]), script=asked["SCRIPT"])
    written.stack = "mine"
    assert result.code == 0, result.text

    def words(text: str) -> list[str]:
        return re.sub(r"port \d+|─+", "", text).split()

    assert words(result.text) == words(told)


def test_the_example_of_a_golden_inference_is_one_with_the_defaults_that_the_page_states(tmp_path: Path) -> None:
    (example,) = PAGE.blocks("json")
    file = tmp_path / "golden.json"
    file.write_text(example)
    x, y = (Tensor(name, "FP32", (-1, 2)) for name in "xy")
    model = Model("double", (1,), "onnxruntime", "onnxruntime_onnx", 4, (x,), (y,), None)
    golden = load(file, model, "golden.json")
    assert (golden.relative, golden.absolute) == (Golden.relative, Golden.absolute)
    document = json.loads(example)
    assert document["request"].keys() == {"inputs", "outputs", "parameters"}
    named = set(re.findall(r"^\| `([\w.…]+)` \|", PAGE.text, re.MULTILINE))
    assert named >= {"request", "response", "tolerance", "….name", "….datatype", "….shape", "….data"}
