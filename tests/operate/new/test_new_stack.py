"""What `make new` takes, writes and refuses."""

import json
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from environment.venv import BuildError
from operate import __main__ as operate
from operate.new.errors import NewStackError
from settings.load import read_stack_file
from tests import onnx_models
from tests.bundle.bundles import BATCHED, configure, model, python_file
from tests.operate.new.conftest import empty_project, write

SOURCE = Path(__file__).resolve().parents[3]


def config(project: Path, name: str = "mine") -> dict[str, Any]:
    text = (project / "stacks" / f"Pulumi.{name}.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    return {key.removeprefix("triton-serving:"): value for key, value in yaml.safe_load(text)["config"].items()}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    onnx_models.save_scaling(tmp_path / "given", 2)
    return (tmp_path / "given" / "model.onnx").rename(tmp_path / "given" / "doubling.onnx")


def test_a_file_becomes_a_bundle_with_a_golden_inference(project: Path, onnx: Path) -> None:
    told = write(project, onnx)
    assert files(project) == [
        "Pulumi.yaml",
        "models/mine/triton/doubling/1/model.onnx",
        "models/mine/triton/doubling/golden.json",
        "stacks/Pulumi.mine.yaml",
    ]
    settings = config(project)
    assert settings["models"] == [{"path": "models/mine", "name": "mine", "framework": "Multi"}]
    assert settings["serviceName"] == "mine"
    assert "entryScript" not in settings
    for shown in ("make check STACK=mine", "make up STACK=mine", "models/mine/triton/doubling/1/model.onnx"):
        assert shown in told


def test_a_script_calls_the_model_by_its_own_names(project: Path, onnx: Path) -> None:
    write(project, onnx, script="1")
    settings = read_stack_file(project, "mine")
    assert (settings.entry_script, settings.source_directory.written) == ("score.py", "scripts/mine")
    script = (project / "scripts" / "mine" / "score.py").read_text()
    for line in ('MODEL = "doubling"', '    "x": ("FP32", np.float32, (-1, 2)),', 'OUTPUTS = ["y"]'):
        assert line in script
    golden = json.loads((project / "scripts" / "mine" / "score.golden.json").read_text())
    ((one, other),) = golden["request"]["x"]
    assert golden["response"]["y"] == [pytest.approx([2 * one, 2 * other], rel=1e-6)]


def test_a_bundle_stays_where_it_is_and_its_own_golden_inferences_stay_too(project: Path) -> None:
    bundle = project / "mine"
    shutil.copytree(SOURCE / "model_repository", bundle)
    before = (bundle / "triton" / "wine" / "golden.json").read_text()
    (bundle / "triton" / "digits" / "golden.json").unlink()
    write(project, bundle, script="digits")
    assert config(project)["models"][0]["path"] == "mine"
    assert (bundle / "triton" / "wine" / "golden.json").read_text() == before
    assert json.loads((bundle / "triton" / "digits" / "golden.json").read_text())["tolerance"]["relative"] == 1e-3
    assert 'MODEL = "digits"' in (project / "scripts" / "mine" / "score.py").read_text()
    assert not (project / "models").exists()


@pytest.mark.parametrize("given", ["given", "given/doubling", "given/doubling/1", "given/doubling/1/model.onnx"])
def test_folders_of_models_of_a_model_and_of_a_version_are_taken(tmp_path: Path, given: str) -> None:
    project = empty_project(tmp_path / "project")
    model(tmp_path / "given" / "doubling", BATCHED)
    write(project, tmp_path / given)
    named = "mine" if given.endswith("onnx") else "doubling"
    found = files(project / "models" / "mine" / "triton")
    beside = [] if given.endswith("onnx") else [f"{named}/config.pbtxt"]
    assert found == [f"{named}/1/model.onnx", *beside, f"{named}/golden.json"]
    read_stack_file(project, "mine")


def test_links_become_what_they_lead_to(tmp_path: Path, project: Path, onnx: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "model.onnx").symlink_to(onnx)
    write(project, tmp_path / "cache")
    (written,) = (project / "models").rglob("model.onnx")
    assert not written.is_symlink()
    assert written.read_bytes() == onnx.read_bytes()


def test_a_configuration_beside_a_file_comes_along(project: Path, onnx: Path) -> None:
    configure(onnx.parent, BATCHED)
    write(project, onnx)
    assert (project / "models/mine/triton/doubling/config.pbtxt").read_text() == BATCHED


def test_stacks_get_ports_and_service_names_of_their_own(project: Path, onnx: Path) -> None:
    for name in ("a", "a.b", "a-b", "A_b", "7"):
        write(project, onnx, name=name)
    found = [config(project, name) for name in ("a", "a.b", "a-b", "A_b", "7")]
    assert [each["serviceName"] for each in found] == ["a-service", "a-b", "a-b-2", "a-b-3", "service-7"]
    assert len({each["deployment"]["port"] for each in found}) == 5
    assert found[4]["models"][0]["name"] == "7"


def test_a_stack_for_a_node_pool_says_what_to_fill_in(project: Path, onnx: Path) -> None:
    told = write(project, onnx, target="node-pool", script="1")
    settings = read_stack_file(project, "mine")
    assert settings.deployment.gpu_cores == 1
    assert settings.image.repository == "registry.example.com/team/mine"
    assert "Write your image's repository and your node pool into stacks/Pulumi.mine.yaml" in told
    # A GPU computes with fewer digits than a script's golden request allows.
    assert "the script gets no golden request" in told


def test_a_stack_for_docker_has_no_gpu(project: Path, onnx: Path) -> None:
    write(project, onnx, target="docker", script="1")
    assert read_stack_file(project, "mine").deployment.gpu_cores == 0
    assert (project / "scripts" / "mine" / "score.golden.json").is_file()


def refused(project: Path, given: Path | str, **asked: str) -> str:
    before = files(project)
    with pytest.raises(NewStackError) as error:
        write(project, given, **asked)
    assert files(project) == before
    return str(error.value)


def test_nothing_is_overwritten_and_all_that_is_in_the_way_is_named(project: Path, onnx: Path) -> None:
    write(project, onnx, script="1")
    told = refused(project, onnx, script="1")
    assert "stacks/Pulumi.mine.yaml and models/mine and scripts/mine exist already" in told
    assert "choose another NAME, or remove: stacks/Pulumi.mine.yaml models/mine scripts/mine" in told


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "é", "x" * 64])
def test_a_name_is_that_of_a_stack(project: Path, onnx: Path, name: str) -> None:
    assert "say: make new NAME=mine MODEL=path" in refused(project, onnx, name=name)


def torch_weights(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"")
    return folder / "net.pt"


def torch_script(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "net.pt", "w") as archive:
        archive.writestr("net/constants.pkl", b"")
        archive.writestr("net/code/__torch__.py", b"")
    return folder / "net.pt"


def entry_script(folder: Path) -> Path:
    (folder / "model.py").write_text("def init(): ...\ndef run(data): ...\n")
    return folder / "model.py"


def python_model(folder: Path) -> Path:
    python_file(folder)
    return folder / "model.py"


def several(folder: Path) -> Path:
    for name in ("a.onnx", "b.onnx"):
        (folder / name).write_bytes(b"x")
    return folder


def cut(folder: Path) -> Path:
    (folder / "net.onnx").write_bytes(b"\x08\x07")
    return folder / "net.onnx"


def sequence(folder: Path) -> Path:
    onnx_models.save_sequence(folder)
    return folder / "model.onnx"


def other(folder: Path) -> Path:
    (folder / "net.safetensors").write_bytes(b"x")
    return folder / "net.safetensors"


@pytest.mark.parametrize(
    ("make", "target", "expected"),
    [
        (lambda folder: folder / "nowhere", "process", "does not exist; expected a bundle"),
        (lambda folder: folder, "process", "has no folder 'triton'; expected triton/<model>/<version>/<model file>"),
        (other, "process", "no target serves such a file; expected a bundle"),
        (torch_weights, "docker", "holds weights or a pickled module, which no target serves; expected TorchScript"),
        (torch_script, "process", "target 'process' cannot serve PyTorch models; expected a target that can: docker"),
        (torch_script, "docker", "its file does not tell Triton its inputs; expected config.pbtxt beside it"),
        (python_model, "process", "its file does not tell Triton its inputs; expected config.pbtxt beside it"),
        (entry_script, "process", "has no class TritonPythonModel"),
        (several, "process", "has several models: a.onnx, b.onnx; expected one; name it: MODEL="),
        (
            cut,
            "process",
            "is truncated or no ONNX model (2 bytes): no graph, outputs or opset in it; export or copy it again",
        ),
        (sequence, "process", "output 'y' is a sequence; expected a tensor, all that Triton serves"),
        (sequence, "cloud", "TARGET=cloud: is no target; expected process, docker, node-pool; correct it"),
    ],
)
def test_what_no_target_serves_is_refused_with_the_fix(
    project: Path, tmp_path: Path, make: Any, target: str, expected: str
) -> None:
    (tmp_path / "bad").mkdir()
    assert expected in refused(project, make(tmp_path / "bad"), target=target)
    assert not list((project / ".var").glob("new-*"))


def test_a_torch_script_with_its_configuration_is_served_by_docker(project: Path, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    given = torch_script(tmp_path / "given")
    configure(given.parent, f'platform: "pytorch_libtorch" {BATCHED.replace(chr(34) + "x", chr(34) + "INPUT__0")}')
    told = write(project, given, target="docker", script="1")
    assert "the model 'net' gets no golden inference: only ONNX models run here without a server" in told
    assert '"INPUT__0": ("FP32", np.float32, (-1, 2)),' in (project / "scripts/mine/score.py").read_text()


def test_a_pickle_of_a_module_that_nobody_has_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.pkl").write_bytes(b"cnowhere\nThing\n.")
    monkeypatch.setattr("operate.new.pickles.build", lambda *_, **__: SimpleNamespace(python=Path(sys.executable)))
    told = refused(project, tmp_path / "own.pkl")
    assert "own.pkl: cannot be served by a script of its own: it does not load: ModuleNotFoundError" in told
    assert "expected a pickle that loads with NumPy 1.26 alone and has predict()" in told


def test_a_pickle_gets_a_script_where_its_environment_cannot_be_built(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object, **__: object) -> None:
        raise BuildError("no disk")

    (tmp_path / "own.pkl").write_bytes(b"csklearn.svm\nSVC\n.")
    monkeypatch.setattr("operate.new.pickles.build", build)
    write(project, tmp_path / "own.pkl", name="Pool_", target="node-pool")
    assert read_stack_file(project, "Pool_").deployment.gpu_cores == 0
    told = write(project, tmp_path / "own.pkl", target="docker")
    assert "the script gets no golden request: its environment cannot be built on this machine: no disk" in told
    settings = read_stack_file(project, "mine")
    assert settings.environment.pip_packages == ["scikit-learn"]
    assert settings.models[0].path.written == "models/mine/own.pkl"  # type: ignore[union-attr]


def test_a_script_asks_one_model_by_its_name(project: Path) -> None:
    told = refused(project, SOURCE / "model_repository", script="1")
    assert "the bundle has the models bidaf-9, digits, wine; expected the name of the one" in told
    assert "SCRIPT=bidaf-9" in told


def test_a_machine_that_lacks_what_the_stack_asks_is_told_before_anything_is_written(project: Path) -> None:
    model(project.parent / "given" / "gpu", f"{BATCHED} instance_group [ {{ kind: KIND_GPU }} ]")
    told = refused(project, project.parent / "given" / "gpu")
    assert "deployment.gpuCores has the value 1: expected at most 0 on target 'process'" in told


def test_the_verb_tells_a_mistake_in_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(operate, "PROJECT", project)
    assert operate.main(["new", "--name", "mine"]) == 1
    assert capsys.readouterr().err == (
        "MODEL is missing; expected a model's path; say: make new NAME=mine MODEL=path\n"
    )
