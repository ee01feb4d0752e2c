"""Registered versions stay as they are, whatever serves from them, and nothing starts on a damaged one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings.service_groups import Resources
from targets.errors import ServiceError
from targets.process import rollout
from targets.process import service as whole_service
from tests.targets.process.conftest import OWNER, Service, spec_of_triton

# As a framework does that rewrites its own file and keeps what it compiled.
WRITING = """\
import json, os, pathlib
f = next(pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json"))
def init():
    global w
    w = json.loads(f.read_text())["w"]
    f.write_text(json.dumps({"w": 99}))
    (f.parent / "compiled.bin").write_bytes(b"x")
def run(data):
    return {"w": w}
"""


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, byte code too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def damaged(file: Path, as_content: bytes) -> Iterator[None]:
    """A registered file with other content, and its size and times as they were: only its hash tells."""
    status, before = file.stat(), file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(as_content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        yield
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_script_that_writes_to_its_models_changes_no_version(service: Service) -> None:
    first = service.up(WRITING)
    registered = content(service.folder / "registry")
    assert service.score() == '{"w":2}'
    launch = json.loads((service.directory.generation(first.number) / "scorer.json").read_text())
    assert launch["variables"]["SERVICE_VERSION"] == "m:1"
    second = service.up(WRITING, resources=Resources(cpu_cores=2))
    assert second.number > first.number
    assert service.score() == '{"w":2}'
    service.kill_supervisor()
    assert service.up(resources=Resources(cpu_cores=2)) == second
    assert service.score() == '{"w":2}'
    assert content(service.folder / "registry") == registered


def test_no_generation_starts_on_a_damaged_version_and_the_file_is_named(service: Service) -> None:
    running = service.up(WRITING)
    file = next((service.folder / "registry").rglob("weights.json"))
    spec = service.spec(resources=Resources(cpu_cores=3))
    with damaged(file, b'{"w": 7}'), pytest.raises(ServiceError, match="has other content than was registered") as told:
        rollout.apply(spec, service.progress.append)
    assert str(told.value).startswith(f"{file}: ")
    assert "m:1 is immutable: put the original back (SHA-256 " in str(told.value)
    assert service.score() == '{"w":2}'
    assert service.directory.generation_numbers() == [running.number]
    assert service.progress[-1] == f"generation {running.number} serves on"


PYTHON_MODEL = """\
import triton_python_backend_utils as pb_utils
import helper


class TritonPythonModel:
    def initialize(self, args):
        self.path = args["model_repository"]
        open(f"{self.path}/1/model.py", "a").write("# changed by itself\\n")

    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", helper.twice(
            pb_utils.get_input_tensor_by_name(request, "x").as_numpy()))]) for request in requests]
"""
CONFIG = """\
backend: "python"
input { name: "x" data_type: TYPE_FP32 dims: 1 }
output { name: "y" data_type: TYPE_FP32 dims: 1 }
"""


def test_a_python_model_leaves_its_version_without_byte_code_or_changes(tmp_path: Path) -> None:
    model = tmp_path / "bundle" / "triton" / "twice"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(CONFIG)
    (model / "1" / "model.py").write_text(PYTHON_MODEL)
    (model / "1" / "helper.py").write_text("def twice(x): return 2 * x\n")
    spec = spec_of_triton(tmp_path, tmp_path / "bundle")
    before = content(tmp_path / "registry")
    try:
        rollout.apply(spec, lambda line: None)
        copy = next((tmp_path / "state").rglob("model.py"))
        assert "# changed by itself" in copy.read_text()  # it could write, but not there
        assert content(tmp_path / "registry") == before
    finally:
        whole_service.remove(tmp_path / "state", "web", OWNER)
