"""The registry: versions are their content, never change, come into being at once, also when two register at once."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from bundle.bundle_types import Bundle
from bundle.layout import check_files, check_layout
from bundle.manifest import FileRecord, Manifest, ManifestError, digest_of, parse_manifest
from bundle.manifest_models import are_current
from bundle.registry import Registered, Registry, RegistryError
from bundle.version_content import copy_out
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


def verify(registry: Registry, registered: Registered, copy: Path) -> None:
    """Hash every file of a version, as whoever serves it does."""
    registry.lay_out(registered, registry.local_path(registered), copy)


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
        older.setattr("bundle.manifest_models.RULES", 1)
        registry.register("m", bundle)
    assert not are_current(registry.get("m").models)
    again = registry.register("m", bundle)
    assert (again.version, are_current(again.models)) == (1, True)
    assert registry.get("m", 1).models == again.models
    verify(registry, again, tmp_path / "copy")


def test_a_version_s_files_are_those_registered(registry: Registry, tmp_path: Path) -> None:
    bundle = scaling(tmp_path / "a", 1)
    registered = registry.register("m", bundle)
    verify(registry, registered, tmp_path / "copy")
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
        verify(registry, registry.get("m", version), tmp_path / f"copy-{version}")


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


def link(folder: Path) -> None:
    file = folder / "triton" / "m" / "1" / "model.onnx"
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")


def link_folder(folder: Path) -> None:
    version = folder / "triton" / "m" / "1"
    version.rename(folder.parent / "elsewhere")
    version.symlink_to(folder.parent / "elsewhere")


IMMUTABLE = (
    r"; m:1 is immutable: put the original back \(SHA-256 [0-9a-f]{64}\), or remove the file and deploy the folder"
)
CHANGES = [
    (edit, "model.onnx: has other content than was registered" + IMMUTABLE),
    (remove, "model.onnx: is missing" + IMMUTABLE),
    (link, "model.onnx: is no regular file, was registered as one" + IMMUTABLE),
]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        *CHANGES,
        (add, "config.pbtxt: was added; m:1 is immutable: remove it"),
        (link_folder, "model.onnx: is missing; m:1 is immutable"),
    ],
)
def test_a_version_that_was_changed_is_not_served(
    tmp_path: Path, change: Callable[[Path], None], expected: str
) -> None:
    registry = Registry(str(tmp_path / "registry"))
    registered = registry.register("m", scaling(tmp_path / "a", 1))
    change(Path(registered.path))
    with pytest.raises(RegistryError, match=expected):
        registry.get("m", 1)


@pytest.mark.parametrize("change", [change for change, _ in CHANGES])
def test_registering_the_same_folder_again_restores_a_damaged_version(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    registry, bundle = Registry(str(tmp_path / "registry")), scaling(tmp_path / "a", 1)
    registered = registry.register("m", bundle)
    change(Path(registered.path))
    assert registry.register("m", bundle) == registered
    verify(registry, registry.get("m", 1), tmp_path / "copy")


def test_a_damaged_version_in_an_object_store_is_restored(tmp_path: Path) -> None:
    registry, bundle = Registry(f"memory://{tmp_path.name}", cache=tmp_path / "cache"), scaling(tmp_path / "a", 1)
    registered = registry.register("m", bundle)
    fsspec.filesystem("memory").pipe_file(
        f"/{tmp_path.name}/m/{registered.manifest.content}/triton/m/1/model.onnx", b""
    )
    with pytest.raises(RegistryError, match=r"model\.onnx: has 0 bytes, was registered with"):
        registry.get("m")
    assert registry.register("m", bundle) == registered
    verify(registry, registered, tmp_path / "copy")


def test_a_damaged_download_is_told_and_replaced(tmp_path: Path) -> None:
    registry = Registry(f"memory://{tmp_path.name}", cache=tmp_path / "cache")
    registered = registry.register("m", scaling(tmp_path / "a", 1))
    download = registry.local_path(registered)
    edit(download)
    with pytest.raises(RegistryError, match="remove the folder of this download: it is downloaded again"):
        registry.lay_out(registered, download, tmp_path / "copy")
    shutil.rmtree(download)  # as the error says
    verify(registry, registered, tmp_path / "copy")
    edit(tmp_path / "copy")  # whoever has a copy may write to it
    verify(registry, registered, tmp_path / "copy")
    assert not list(copy_out(tmp_path / "copy", registered.manifest, tmp_path / "again"))


def rewritten(manifest: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A manifest as somebody writes it who may write to the registry: its digest fits its files."""
    document = json.loads(manifest.read_bytes())
    change(document)
    files = [FileRecord(file["path"], file["size"], file["sha256"]) for file in document["files"]]
    document["digest"] = digest_of(files)
    manifest.write_text(json.dumps(document))


def with_path(path: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["files"][0].update(path=path)


@pytest.mark.parametrize(
    "change",
    [
        *map(
            with_path,
            ("../x", "/etc/x", "a/../../x", "a//x", "./x", "a/.", "..", "", "a\\..\\x", "a\0b", "a\nb", "x/"),
        ),
        lambda document: document["files"].append(document["files"][0]),
        lambda document: document["files"].append({**document["files"][0], "path": "triton/m"}),
        lambda document: document.update(content="../../../etc"),
        lambda document: document.update(content="/etc"),
        lambda document: document.update(content="2/files"),
        lambda document: document.update(name="../m"),
        lambda document: document["files"][0].update(size=-1),
        lambda document: document["files"][0].update(sha256="../x"),
        lambda document: document["files"][0].update(size=True),
        lambda document: document["models"][0].pop("versions"),
        lambda document: document["models"].append(3),
        lambda document: document.update(tags=["a"]),
        lambda document: document.update(framework=None),
        lambda document: document.pop("content"),
    ],
)
def test_a_manifest_that_leads_outside_or_is_none_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    registry = Registry(str(tmp_path / "registry"))
    registry.register("m", scaling(tmp_path / "a", 1))
    manifest = tmp_path / "registry" / "m" / "1" / "manifest.json"
    rewritten(manifest, change)
    with pytest.raises(RegistryError, match=r"m/1/manifest\.json: is damaged: .*; restore it, or remove the version's"):
        registry.get("m")


@given(st.lists(st.text("a./\\\0\n", min_size=0, max_size=8), min_size=1, max_size=3))
def test_every_path_that_a_manifest_may_have_stays_inside(paths: list[str]) -> None:
    records = tuple(FileRecord(path, 1, "0" * 64) for path in paths)
    manifest = Manifest("m", 1, digest_of(records), "1/files", "", records, (), {}, "", "")
    try:
        files = parse_manifest(manifest.to_bytes()).files
    except ManifestError:
        event("refused")
        return
    event("taken")
    places = [os.path.normpath(f"/root/{file.path}") for file in files]
    assert all(place == f"/root/{path}" for place, path in zip(places, paths, strict=True))
    assert not any(other.startswith(f"{place}/") for place in places for other in places)
    assert len(set(places)) == len(places)


def test_properties_that_were_damaged_are_told(tmp_path: Path) -> None:
    registry, bundle = Registry(str(tmp_path / "registry")), scaling(tmp_path / "a", 1)
    registry.register("m", bundle)
    registry.register("m", bundle, description="later")
    for text in ("{", '{"tags": 3}', '{"tags": {}, "description": "", "framework": 1}'):
        (tmp_path / "registry" / "m" / "1" / "properties.json").write_text(text)
        with pytest.raises(RegistryError, match=r"m/1/properties\.json: is damaged: .*remove"):
            registry.get("m")


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
