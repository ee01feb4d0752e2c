"""What is shown of a stack's outputs, and that the commands ask what they should."""

import io
import json
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from bundle.layout import check_files, check_layout
from bundle.registry import Registry
from operate.outputs import commands, show
from settings.load import load
from settings.schema import Settings
from settings.stack_reader import file_of
from targets.check_summary import verdict
from targets.served import EntryScript
from tests import onnx_models

SCORING, TRITON = "http://localhost:6789/score", "http://localhost:6789"
SCRIPT = "def init(): ...\ndef run(data): ...\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a script, a model for Triton and a folder for the script, both registered."""
    onnx_models.save_scaling(tmp_path / "models" / "triton" / "m" / "1", 2)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"w")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.py").write_text(SCRIPT)
    registry = Registry(str(tmp_path / ".var" / "registry"))
    registry.register("m", check_layout(tmp_path / "models", target="process"), framework="Multi")
    registry.register("w", check_files(tmp_path / "weights"), framework="Custom")
    return tmp_path


def settings_of(project: Path, **changed: object) -> Settings:
    values = {"models": ["m:1"], "entryScript": "score.py", **changed}
    return load(values, subject=file_of("test"), project=project, form_alone=True)


def outputs_of(project: Path) -> dict[str, object]:
    found = [Registry(str(project / ".var" / "registry")).get(name) for name in ("m", "w")]
    models = [{"modelId": bundle.model_id, "digest": bundle.digest, "models": bundle.summary} for bundle in found]
    return {"scoringUri": SCORING, "tritonUri": TRITON, "models": models}


def body_of(command: str, project: Path) -> object:
    words = shlex.split(command.partition(" <<<")[0])
    body = words[words.index("-d") + 1]
    return json.loads((project / body[1:]).read_text() if body.startswith("@") else body)


def test_a_golden_inference_is_asked_of_triton(project: Path) -> None:
    golden = Registry(str(project / ".var" / "registry")).get("m").models[0]["golden"]["request"]
    (infer,) = [line for line in commands(outputs_of(project), settings_of(project), "s") if "/infer" in line]
    assert f"{TRITON}/v2/models/m/versions/1/infer" in infer
    assert body_of(infer, project) == golden


def test_a_long_request_is_in_a_file_that_the_command_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operate.outputs._LONGEST_BODY", 10)
    (infer,) = [line for line in commands(outputs_of(project), settings_of(project), "s") if "/infer" in line]
    assert "-d @.var/cache/requests/triton-webservice/m.json" in infer
    assert (
        body_of(infer, project) == Registry(str(project / ".var" / "registry")).get("m").models[0]["golden"]["request"]
    )


def test_a_script_is_asked_its_golden_request_or_the_users_own_file(project: Path) -> None:
    def score() -> list[str]:
        lines = list(commands(outputs_of(project), settings_of(project), "s"))
        number = next(number for number, line in enumerate(lines) if SCORING in line)
        return lines[number - 1 : number + 1]

    told, command = score()
    assert (
        told
        == "Put what the script's run() expects into request.json (a request in score.golden.json would stand here):"
    )
    assert "-d @request.json" in command
    (project / "scripts" / "score.golden.json").write_text('{"request": {"it\'s": 1}, "response": 2}')
    assert body_of(score()[1], project) == {"it's": 1}


def test_a_registry_that_is_gone_costs_one_command(project: Path) -> None:
    outputs = outputs_of(project)
    gone = settings_of(project, registry="nowhere")
    lines = list(commands(outputs, gone, "s"))
    assert any("/v2/models/m" in line for line in lines)
    assert not any("/infer" in line for line in lines)


def test_every_bundle_has_a_line_that_says_what_it_is(project: Path) -> None:
    python = {"modelId": "p:3", "models": [{"name": "prep", "versions": [1, 2], "platform": ""}]}
    outputs = outputs_of(project)
    assert isinstance(outputs["models"], list)
    outputs["models"].append(python)
    written = io.StringIO()
    show(Console(file=written, width=200), settings_of(project), "s", json.dumps(outputs))
    shown = [line.strip().removeprefix("models").strip() for line in written.getvalue().splitlines()]
    first = shown.index("m:1: m 1 (onnxruntime_onnx)")
    assert shown[first + 1 : first + 3] == ["w:1: files for the entry script", "p:3: prep 1, 2"]


def test_a_python_models_platform_is_its_backend(tmp_path: Path) -> None:
    model = tmp_path / "triton" / "prep"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.py").write_text("class TritonPythonModel: ...\n")
    (model / "config.pbtxt").write_text('backend: "python"')
    registered = Registry(str(tmp_path / "registry")).register("p", check_layout(tmp_path, target="process"))
    assert registered.summary == [{"name": "prep", "versions": [1], "platform": "python"}]


@pytest.mark.parametrize(
    ("names", "golden", "expected"),
    [
        (("m",), None, "model versions ready: 1; golden inferences right: 1; after 1.5 s"),
        (("w",), "{}", "score.py is ready; it has no golden request; after 1.5 s"),
        (("w",), '{"request": 1, "response": 2}', "score.py is ready; its golden request right; after 1.5 s"),
        (
            ("m", "w"),
            "{}",
            "model versions ready: 1; golden inferences right: 1; score.py is ready; it has no golden request; "
            "after 1.5 s",
        ),
    ],
)
def test_the_check_says_what_it_checked(
    project: Path, names: tuple[str, ...], golden: str | None, expected: str
) -> None:
    registry = Registry(str(project / ".var" / "registry"))
    script = EntryScript(source_directory=project, file="score.py", digest="", golden=golden) if golden else None
    assert verdict([registry.get(name) for name in names], 1.5, script)[0] == expected
