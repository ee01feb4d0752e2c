"""The causes that docs/troubleshooting.md lists: each is brought about, and says what the page quotes."""

import json
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from docker_target import front_door, rollout
from docker_target.engine import Engine
from docker_target.spec import ServiceSpec
from environment.image_layout import repository
from machine.service import ServiceError
from tests.cluster.images import PROJECT, REGISTRY, Images

DIGITS = PROJECT / "model_repository" / "triton" / "digits"
SERVICE = f"tests-{secrets.token_hex(4)}"  # an engine has more than one user
PYTHON_CONFIG = """\
backend: "python"
input [{ name: "x", data_type: TYPE_FP32, dims: [ 1 ] }]
output [{ name: "y", data_type: TYPE_FP32, dims: [ 1 ] }]
"""


def documented(error: object) -> str:
    """What an error says, of which the page quotes a part in one of its numbered sections."""
    page = (PROJECT / "docs" / "troubleshooting.md").read_text()
    quotes = re.findall(r"^## \d+\. .*\n\n    (.*)$", page, re.MULTILINE)
    assert len(quotes) == 10
    assert any(quote in str(error) for quote in quotes), f"the page quotes nothing of: {error}"
    return str(error)


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    made = docker.from_env().networks.create(SERVICE)
    yield str(made.name)
    made.remove()


@pytest.fixture
def rolled_out(tmp_path: Path, network: str, images: Images) -> Callable[..., str]:
    """Roll a service with an image out and give what it says when it fails; nothing of it may be left."""

    def run(image: str, *, scorer: bool = False, **changed: object) -> str:
        spec = ServiceSpec(
            service_name=SERVICE,
            owner="tests",
            state_directory=tmp_path,
            network=network,
            image=image,
            bundles=(f"m:{images.version_of(image)}",),
            repositories=(repository("m", images.version_of(image)),),
            scorer=scorer,
            **{"deadline_seconds": 120, **changed},  # type: ignore[arg-type]
        )
        with pytest.raises(ServiceError) as failed:
            rollout.apply(spec, print)
        with Engine() as engine:
            assert engine.containers(SERVICE) == []
        return documented(failed.value)

    return run


def python_model(folder: Path, initialize: str) -> Path:
    """A bundle with a model whose `initialize` does what it is told."""
    version = folder / "triton" / "model" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(PYTHON_CONFIG)
    (version / "model.py").write_text(
        f"import time\n\nclass TritonPythonModel:\n    def initialize(self, args):\n        {initialize}\n"
    )
    return folder


def test_no_engine_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr("docker_target.engine.DEFAULT_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(ServiceError) as failed:
        Engine()
    assert str(failed.value).startswith("no Docker engine answers at unix://")


def test_the_port_is_taken() -> None:
    with socket.socket() as holder, Engine() as engine:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError, match=f"deployment.port {port} is taken by another process"):
            front_door.check_port(engine, SERVICE, port)


def test_the_name_is_taken() -> None:
    labels = {"triton-serving.service": SERVICE, "triton-serving.owner": "organization/other/prod"}
    other = docker.from_env().containers.create(f"{REGISTRY}/debian:12", "true", labels=labels)
    try:
        with Engine() as engine:
            with pytest.raises(ServiceError, match="taken on this Docker engine by the stack organization/other/prod"):
                rollout.check_owner(engine, SERVICE, "tests", overwrite=False)
            rollout.check_owner(engine, SERVICE, "tests", overwrite=True)
    finally:
        other.remove()


def test_the_engine_has_no_gpu() -> None:
    with Engine() as engine:
        engine.check_gpus(0)
        with pytest.raises(ServiceError) as failed:
            engine.check_gpus(1)
    assert "the Docker engine at" in documented(failed.value)


def test_the_base_image_does_not_exist() -> None:
    with Engine() as engine, pytest.raises(ServiceError) as failed:
        engine.pull(f"{REGISTRY}/tritonserver:99.99-py3")
    assert "99.99-py3" in documented(failed.value)


def test_a_model_does_not_load(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    models = python_model(tmp_path / "models", 'raise RuntimeError("no such weights")')
    said = rolled_out(images.service("unloadable", models))
    assert "model model version 1" in said
    assert "no such weights" in said
    assert f"by hand: docker run --rm --shm-size=1024m {REGISTRY}/tests/service@sha256:" in said


def test_a_model_answers_wrongly(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    copy = tmp_path / "models" / "triton" / "digits"
    shutil.copytree(DIGITS, copy)
    golden = json.loads((copy / "golden.json").read_text())
    golden["response"]["outputs"][0]["data"][0] += 1
    (copy / "golden.json").write_text(json.dumps(golden))
    assert "golden inference: POST" in rolled_out(images.service("wrong", tmp_path / "models"))


def test_the_script_fails(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    shutil.copytree(DIGITS, tmp_path / "models" / "triton" / "digits")
    script = tmp_path / "source" / "score.py"
    script.parent.mkdir()
    script.write_text("def init():\n    import a_package_that_is_missing\n\ndef run(data): ...\n")
    said = rolled_out(images.service("unscripted", tmp_path / "models", script), scorer=True)
    assert "No module named 'a_package_that_is_missing'" in said


def test_the_memory_is_too_little(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    models = python_model(tmp_path / "models", 'self.held = b"x" * 10**9')
    assert "was killed for want of memory: raise deployment.memoryGb" in rolled_out(
        images.service("greedy", models), memory_mb=512
    )


def test_the_memory_is_too_little_for_triton_itself(
    rolled_out: Callable[..., str], images: Images, tmp_path: Path
) -> None:
    image = images.service("small", python_model(tmp_path / "models", "pass"))
    assert "was killed for want of memory" in rolled_out(image, memory_mb=16)


def test_it_is_not_ready_in_time(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    models = python_model(tmp_path / "models", "time.sleep(60)")
    assert "not ready within 8 s" in rolled_out(images.service("slow", models), deadline_seconds=8)


def test_an_image_without_the_models_is_refused(network: str, images: Images, tmp_path: Path) -> None:
    image = images.service("other", python_model(tmp_path / "models", "pass"))
    spec = ServiceSpec(
        service_name=SERVICE, owner="tests", state_directory=tmp_path, network=network, image=image, bundles=("n:7",)
    )
    with pytest.raises(ServiceError, match=r"image.reference \S+ holds m:\d+, and models asks for n:7"):
        rollout.apply(spec, print)
