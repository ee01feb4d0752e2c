"""Bundles that the layout check accepts, and what it makes of them; folders that are no bundle."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from bundle.bundle_types import Tensor
from bundle.layout import check_files, check_layout
from bundle.problems import LayoutError
from tests import onnx_models
from tests.bundle.bundles import BATCHED, LABELLED, configure, ensemble, model, tensorflow

PROJECT = Path(__file__).resolve().parents[2]


def problems(path: Path, target: str = "process") -> tuple[str, ...]:
    with pytest.raises(LayoutError) as raised:
        check_layout(path, target=target)
    return raised.value.problems


def test_the_project_s_own_models_are_a_good_bundle() -> None:
    bundle = check_layout(PROJECT / "model_repository", target="process")
    assert [found.name for found in bundle.models] == ["bidaf-9", "digits", "wine"]
    assert bundle.notes == ()
    assert all(found.golden for found in bundle.models)
    assert {file.path for file in bundle.files} >= {"triton/digits/1/model.onnx", "triton/wine/cultivars.txt"}
    wine = bundle.models[2]
    assert wine.max_batch_size == 64
    assert wine.outputs == (Tensor("cultivar", "FP32", (-1, 3), labels="cultivars.txt"),)


def test_a_model_without_configuration_has_the_interface_of_its_graph(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    (found,) = check_layout(tmp_path, target="process").models
    assert (found.backend, found.platform, found.max_batch_size) == ("onnxruntime", "onnxruntime_onnx", 4)
    assert found.inputs == (Tensor("x", "FP32", (-1, 2)),)
    assert found.model_file == "triton/m/1/model.onnx"


@pytest.mark.parametrize(
    ("config", "loaded"),
    [
        (None, (3,)),
        ("version_policy: { latest: { num_versions: 2 } }", (2, 3)),
        ("version_policy: { all: {} }", (1, 2, 3)),
        ("version_policy: { specific: { versions: [ 1, 3 ] } }", (1, 3)),
    ],
)
def test_the_versions_are_those_of_the_policy(tmp_path: Path, config: str | None, loaded: tuple[int, ...]) -> None:
    for version in (1, 2, 3):
        onnx_models.save_scaling(tmp_path / "triton" / "m" / str(version), version)
    if config is not None:
        configure(tmp_path / "triton" / "m", config)
    (found,) = check_layout(tmp_path, target="process").models
    assert found.versions == loaded


def test_a_configuration_in_a_version_s_folder_is_put_beside_the_versions(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    configure(tmp_path / "triton" / "m" / "1", BATCHED)
    bundle = check_layout(tmp_path, target="process")
    note = "triton/m/1/config.pbtxt: put beside the versions as triton/m/config.pbtxt, where Triton reads it"
    assert bundle.notes == (note,)
    assert [file.path for file in bundle.files] == ["triton/m/1/model.onnx", "triton/m/config.pbtxt"]
    assert bundle.models[0].max_batch_size == 8


def test_one_configuration_in_every_version_is_put_beside_them_once(tmp_path: Path) -> None:
    for version in ("1", "2"):
        onnx_models.save_scaling(tmp_path / "triton" / "m" / version, 2)
        configure(tmp_path / "triton" / "m" / version, BATCHED)
    assert check_layout(tmp_path, target="process").notes == (
        "triton/m/1/config.pbtxt: put beside the versions as triton/m/config.pbtxt, where Triton reads it",
        "triton/m/2/config.pbtxt: left out, as it says what triton/m/1/config.pbtxt says",
    )


def test_a_configuration_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    (tmp_path / "triton" / "m" / "config.pbtxt").mkdir()
    (problem,) = problems(tmp_path)
    assert problem.startswith("triton/m/config.pbtxt: is a folder; expected a file in protobuf's text format")


def test_a_golden_inference_in_a_version_s_folder_is_told_to_be_in_vain(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    (tmp_path / "triton" / "m" / "1" / "golden.json").write_text("{}")
    (note,) = check_layout(tmp_path, target="process").notes
    assert note == (
        "triton/m/1/golden.json: is not read; a golden inference lies beside the versions, as triton/m/golden.json"
    )


def test_a_folder_triton_that_is_elsewhere_is_told_once(tmp_path: Path) -> None:
    model(tmp_path / "elsewhere" / "m")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "triton").symlink_to(tmp_path / "elsewhere")
    (problem,) = problems(tmp_path / "bundle")
    assert "which leaves the bundle" in problem


def test_a_graph_that_onnx_runtime_does_not_load_is_refused_where_that_serves_it(tmp_path: Path) -> None:
    folder = tmp_path / "triton" / "m" / "1"
    onnx_models.save_scaling(folder, 2)
    graph = onnx.load(folder / "model.onnx")
    graph.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(graph, folder / "model.onnx")
    (problem,) = problems(tmp_path)
    assert problem.startswith("triton/m/1/model.onnx: ONNX Runtime does not load it: ")
    assert "NoSuchOperator" in problem
    assert check_layout(tmp_path, target="docker").models


def test_the_kinds_of_instance_groups_are_told(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m", BATCHED + "instance_group [ { kind: KIND_CPU }, { kind: KIND_GPU } ]")
    (found,) = check_layout(tmp_path, target="process").models
    assert found.instance_kinds == ("KIND_CPU", "KIND_GPU")


def test_two_configurations_that_differ_are_an_error_that_names_both(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m", BATCHED)
    configure(tmp_path / "triton" / "m" / "1", BATCHED.replace("8", "16"))
    assert problems(tmp_path) == (
        "triton/m/1/config.pbtxt: differs from triton/m/config.pbtxt; expected one configuration; "
        "remove one of the two",
    )


def test_the_folder_triton_itself_is_taken_with_a_note(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    bundle = check_layout(tmp_path / "triton", target="process")
    assert [file.path for file in bundle.files] == ["triton/m/1/model.onnx"]
    assert bundle.notes[0].endswith(
        "is the folder 'triton' itself, taken as the bundle; the path of a bundle is that of its parent"
    )


def test_labels_and_warmup_files_are_found_where_triton_looks(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m", BATCHED.partition("output")[0] + LABELLED)
    (tmp_path / "triton" / "m" / "1" / "names.txt").write_text("a\nb\n")
    (problem,) = problems(tmp_path)
    assert problem.endswith("expected it at triton/m/names.txt; move triton/m/1/names.txt there")
    (tmp_path / "triton" / "m" / "1" / "names.txt").rename(tmp_path / "triton" / "m" / "names.txt")
    assert check_layout(tmp_path, target="process").models[0].outputs[0].labels == "names.txt"


def test_an_ensemble_has_no_model_file_and_keeps_its_version_s_folder(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "scale")
    step = 'model_name: "scale" model_version: -1 input_map { key: "x" value: "x" } output_map { key: "y" value: "y" }'
    ensemble(f"{{ {step} }}")(tmp_path / "triton" / "both")
    bundle = check_layout(tmp_path, target="process")
    assert bundle.models[0].model_file is None
    assert "triton/both/1/.keep" in {file.path for file in bundle.files}


def test_files_of_tools_are_left_out_with_a_note(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    for junk in (".DS_Store", "model.py~", "__pycache__/model.pyc"):
        file = tmp_path / "triton" / "m" / junk
        file.parent.mkdir(exist_ok=True)
        file.touch()
    bundle = check_layout(tmp_path, target="process")
    assert [file.path for file in bundle.files] == ["triton/m/1/model.onnx"]
    assert bundle.notes[0].startswith("left out, as hidden or made by tools: triton/m/.DS_Store")


@pytest.mark.parametrize("target", ["docker", "node-pool"])
def test_tensorflow_is_served_where_there_is_an_image_for_it(tmp_path: Path, target: str) -> None:
    tensorflow(tmp_path / "triton" / "m")
    bundle = check_layout(tmp_path, target=target)
    assert bundle.models[0].platform == "tensorflow_savedmodel"
    assert "TensorFlow up to release 25.02 only" in bundle.notes[0]


def test_a_link_inside_the_bundle_is_followed(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    (tmp_path / "triton" / "m" / "2").symlink_to("1")
    bundle = check_layout(tmp_path, target="process")
    assert bundle.models[0].versions == (2,)
    assert "triton/m/2/model.onnx" in {file.path for file in bundle.files}


def link_outside(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "triton" / "m" / "1" / "weights.bin").symlink_to(outside)


def dangling_link(folder: Path) -> None:
    (folder / "triton" / "m" / "1" / "weights.bin").symlink_to("nowhere")


def looping_link(folder: Path) -> None:
    (folder / "triton" / "m" / "1" / "again").symlink_to("../../m")


def clashing_names(folder: Path) -> None:
    model(folder / "triton" / "M")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "triton" / "m" / "1" / "pipe")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (link_outside, "triton/m/1/weights.bin: a link to '*outside', which leaves the bundle"),
        (dangling_link, "triton/m/1/weights.bin: a link to 'nowhere', which does not exist"),
        (looping_link, "triton/m/1/again: a link to '../../m', a folder that contains it; remove the link"),
        (clashing_names, "triton/m: clashes with 'M' where case does not tell names apart"),
        (pipe, "triton/m/1/pipe: no regular file; expected files and folders only; remove it"),
    ],
)
def test_what_cannot_be_copied_faithfully_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    folder = tmp_path / "bundle"
    model(folder / "triton" / "m")
    spoil(folder)
    (problem,) = problems(folder)
    start, _, end = expected.partition("*")
    assert problem.startswith(start)
    assert end in problem


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("Triton/m/1", "rename 'Triton' to 'triton'"),
        ("export/triton/m/1", "found it in 'export': use the path"),
        ("m/1", "found models directly in it (m): move them into"),
        ("1", "this is a model's folder: put it into a folder 'triton'"),
        ("other", "found other; make it, or use the path of the folder that has it"),
    ],
)
def test_a_folder_without_triton_is_told_what_it_may_have_meant(tmp_path: Path, place: str, expected: str) -> None:
    onnx_models.save_scaling(tmp_path / place, 2)
    (problem,) = problems(tmp_path)
    assert problem.startswith(f"{tmp_path}: has no folder 'triton'; expected triton/<model>/<version>/<model file>; ")
    assert expected in problem


def test_an_empty_bundle_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "triton").mkdir()
    assert problems(tmp_path)[0].startswith("triton: has no models; expected triton/<model>/<version>/<model file>")
    assert problems(tmp_path / "nowhere")[0].endswith("does not exist; expected a model's folder; correct the path")
    (tmp_path / "file").touch()
    assert "is a file; expected the folder that contains 'triton'" in problems(tmp_path / "file")[0]


def test_an_unknown_target_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="target 'gpu' is unknown; expected one of process, docker, node-pool"):
        check_layout(tmp_path, target="gpu")


def test_a_service_that_only_scores_takes_any_file_or_folder(tmp_path: Path) -> None:
    (tmp_path / "outputs" / "deep").mkdir(parents=True)
    (tmp_path / "outputs" / "deep" / "model.pkl").write_bytes(b"weights")
    assert [file.path for file in check_files(tmp_path / "outputs").files] == ["outputs/deep/model.pkl"]
    assert [file.path for file in check_files(tmp_path / "outputs" / "deep" / "model.pkl").files] == ["model.pkl"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match="has no files; expected at least one"):
        check_files(tmp_path / "empty")


def test_a_git_lfs_pointer_is_told_from_a_model(tmp_path: Path) -> None:
    model(tmp_path / "triton" / "m")
    (tmp_path / "triton" / "m" / "1" / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert problems(tmp_path) == ("triton/m/1/model.onnx: is a Git LFS pointer, not the model; run 'git lfs pull'",)
