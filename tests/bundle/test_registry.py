"""The registry: versions are their content, never change, come into being at once, also when two register at once."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from bundle.layout import check_files, check_layout
from bundle.model import Bundle
from bundle.registry import Registry, RegistryError, are_current
from tests import onnx_models
from tests.bundle.bundles import model

PROJECT = Path(__file__).resolve().parents[2]


def scaling(folder: Path, factor: float) -> Bundle:
    """A bundle whose model scales by `factor`: another factor is other content."""
    onnx_models.save_scaling(folder / "triton" / "m" / "1", factor)
    return check_layout(folder, target="process")


@pytest.fixture(params=["directory", "file", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """A registry in a directory, at a `file://` URL and in an object store (fsspec's, in memory)."""
    place = tmp_path / "registry"
    url = {"directory": str(place), "file": f"file://{place}", "memory": f"memory://{tmp_path.name}"}[request.param]
    yield Registry(url, cache=tmp_path / "cache")
    if request.param == "memory":
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_the_same_content_is_the_same_version_and_changed_content_the_next(registry: Registry, tmp_path: Path) -> None:
    first = registry.register("m", scaling(tmp_path / "a", 1))
    again = registry.register("m", scaling(tmp_path / "copy", 1))
    second = registry.register("m", scaling(tmp_path / "b", 2))
    back = registry.register("m", scaling(tmp_path / "a", 1))
    assert [found.model_id for found in (first, again, second, back)] == ["m:1", "m:1", "m:2", "m:1"]
    assert first.digest == again.digest == back.digest != second.digest
    assert registry.get("m").version == 2
    assert registry.get("m", 1).digest == first.digest


def test_tags_description_and_framework_alone_make_no_new_version(registry: Registry, tmp_path: Path) -> None:
    bundle = scaling(tmp_path / "a", 1)
    registry.register("m", bundle, tags={"stage": "test"}, description="first", framework="Multi")
    registry.register("m", bundle, tags={"stage": "production"}, description="second", framework="Multi")
    found = registry.get("m")
    assert (found.model_id, found.tags, found.description) == ("m:1", {"stage": "production"}, "second")


def test_models_that_an_older_release_told_are_told_anew_and_the_version_stays(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = scaling(tmp_path / "a", 1)
    with monkeypatch.context() as older:
        older.setattr("bundle.registry.RULES", 1)
        registry.register("m", bundle)
    assert not are_current(registry.get("m").models)
    again = registry.register("m", bundle)
    assert (again.version, are_current(again.models)) == (1, True)
    assert registry.get("m", 1).models == again.models
    registry.verify(again)


def test_a_version_s_files_are_those_registered(registry: Registry, tmp_path: Path) -> None:
    bundle = scaling(tmp_path / "a", 1)
    registered = registry.register("m", bundle)
    registry.verify(registered)
    local = registry.local_path(registered)
    source = tmp_path / "a" / "triton" / "m" / "1" / "model.onnx"
    assert (local / "triton" / "m" / "1" / "model.onnx").read_bytes() == source.read_bytes()
    assert [found["name"] for found in registered.models] == ["m"]
    assert registered.models[0]["golden"]["response"]["outputs"][0]["name"] == "y"


def test_names_and_versions_that_are_not_there_are_told_with_those_that_are(registry: Registry, tmp_path: Path) -> None:
    registry.register("triton_model", scaling(tmp_path / "a", 1))
    with pytest.raises(
        RegistryError, match=r"model 'triton_mode' is not registered in .*; did you mean 'triton_model'"
    ):
        registry.get("triton_mode")
    with pytest.raises(
        RegistryError, match=r"version 2 of model 'triton_model' is not registered in .*; expected one of 1"
    ):
        registry.get("triton_model", 2)
    with pytest.raises(RegistryError, match=r"model name '../x' is not valid"):
        registry.register("../x", scaling(tmp_path / "a", 1))


def test_two_registrations_at_once_get_two_versions(registry: Registry, tmp_path: Path) -> None:
    bundles = [scaling(tmp_path / str(factor), factor) for factor in range(4)]
    found: list[str] = []

    def register(bundle: Bundle) -> None:
        found.append(registry.register("m", bundle).model_id)

    threads = [threading.Thread(target=register, args=(bundle,)) for bundle in (*bundles, *bundles)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == ["m:1", "m:1", "m:2", "m:2", "m:3", "m:3", "m:4", "m:4"]
    for version in (1, 2, 3, 4):
        registry.verify(registry.get("m", version))


def registering(registry: Path, folder: Path, *stop: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(Path(__file__).with_name("registering.py")), str(registry), str(folder), *stop]
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


def test_two_processes_that_register_at_once_get_two_versions(tmp_path: Path) -> None:
    for factor in (1, 2):
        scaling(tmp_path / str(factor), factor)
    processes = [registering(tmp_path / "registry", tmp_path / str(factor)) for factor in (1, 2)]
    assert sorted(process.communicate(timeout=60)[0].strip() for process in processes) == ["m:1", "m:2"]


def test_a_killed_registration_leaves_nothing_that_looks_registered(tmp_path: Path) -> None:
    bundle, place = scaling(tmp_path / "a", 1), tmp_path / "registry"
    with registering(place, tmp_path / "a", "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"
        process.kill()
    assert [file.name for file in place.rglob("model.onnx")] == ["model.onnx"]  # it had got that far
    with pytest.raises(RegistryError, match="model 'm' is not registered"):
        Registry(str(place)).get("m")
    assert Registry(str(place)).register("m", bundle).model_id == "m:1"
    assert [file.name for file in place.rglob("model.onnx")] == ["model.onnx"]  # what it left is gone


def edit(folder: Path) -> None:
    file = folder / "triton" / "m" / "1" / "model.onnx"
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def remove(folder: Path) -> None:
    (folder / "triton" / "m" / "1" / "model.onnx").unlink()


def add(folder: Path) -> None:
    (folder / "triton" / "m" / "config.pbtxt").touch()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (edit, "model.onnx: has other content than was registered; m:1 is immutable: restore the file, or remove"),
        (remove, "model.onnx: is missing; m:1 is immutable"),
        (add, "config.pbtxt: was added; m:1 is immutable"),
    ],
)
def test_a_version_that_was_changed_is_not_served(tmp_path: Path, change: object, expected: str) -> None:
    registry = Registry(str(tmp_path / "registry"))
    registered = registry.register("m", scaling(tmp_path / "a", 1))
    assert callable(change)
    change(Path(registered.path))
    with pytest.raises(RegistryError, match=expected):
        registry.get("m", 1)


def test_registered_files_are_read_only(tmp_path: Path) -> None:
    registered = Registry(str(tmp_path / "registry")).register("m", scaling(tmp_path / "a", 1))
    files = [file for file in Path(registered.path).rglob("*") if file.is_file()]
    assert files
    assert not any(file.stat().st_mode & 0o222 for file in files)


def test_a_model_without_a_golden_inference_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "triton" / "m"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text("class TritonPythonModel: ...\n")
    (folder / "config.pbtxt").write_text('backend: "python"')
    registered = Registry(str(tmp_path / "registry")).register("m", check_layout(tmp_path / "a", target="process"))
    assert registered.models[0]["golden"] is None
    assert registered.models[0]["goldenReason"] == "it has no golden.json, and one is derived for ONNX models only"


def test_any_folder_can_be_registered_for_a_service_that_only_scores(tmp_path: Path) -> None:
    model(tmp_path / "digits")
    registered = Registry(str(tmp_path / "registry")).register(
        "m", check_files(tmp_path / "digits"), framework="Custom"
    )
    assert (Path(registered.path) / "digits" / "1" / "model.onnx").is_file()
    assert (registered.models, registered.framework) == ((), "Custom")


def test_a_registry_s_password_is_in_no_message(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as raised:
        Registry("nosuch://user:secret@host/path")
    assert "secret" not in str(raised.value)
    assert "nosuch" in str(raised.value)
