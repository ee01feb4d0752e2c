import os
from pathlib import Path

import pytest

from bundle.layout import check_layout
from bundle.registry import Registry, RegistryError
from tests.provider.asking import create


@pytest.fixture
def context_inputs(tmp_path, bundle_folder):
    """The inputs of a service's build context, and the registered folder that it copies."""
    registry = Registry(str(tmp_path / "registry"))
    registered = registry.register("m", check_layout(bundle_folder, target="docker"), framework="Multi")
    served = {"registry": registry.url, "name": "m", "version": 1.0, "digest": registered.digest, "framework": "Multi"}
    folder = registry.local_path(registered)
    return {
        "bundles": [{**served, "path": str(folder)}],
        "environmentImage": "environment:1",
        "folder": str(tmp_path / "context"),
        "holdsModels": True,
    }, folder


def test_an_image_gets_the_registered_files_and_no_other(context_inputs):
    inputs, folder = context_inputs
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"left by a version that served from here")
    made = Path(create("ServiceContext", inputs)["path"])
    files = {path.relative_to(made / "models/m/1") for path in (made / "models").rglob("*") if path.is_file()}
    assert files == {file.relative_to(folder) for file in (folder / "triton").rglob("*") if file.is_file()}


def test_no_image_is_built_of_a_damaged_version(context_inputs):
    inputs, folder = context_inputs
    file = next(folder.rglob("model.onnx"))
    status, content = file.stat(), file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(content[:-1] + b"?")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # only its hash tells
    with pytest.raises(RegistryError, match=f"{file}: has other content than was registered; m:1 is immutable: put"):
        create("ServiceContext", inputs)
