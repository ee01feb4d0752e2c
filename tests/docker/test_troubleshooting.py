"""The causes that docs/troubleshooting.md lists: each is brought about, and says what the page quotes."""

import json
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from settings.service_groups import Resources, RolloutPlan
from targets.docker import front_door, rollout
from targets.docker.engine import Engine
from targets.errors import ServiceError
from tests.cluster.images import PROJECT, REGISTRY, Images
from tests.docker.project import spec_of, with_role
from tests.troubleshooting import quoted
from tests.waiting import eventually

DIGITS = PROJECT / "model_repository" / "triton" / "digits"
SERVICE = f"tests-{secrets.token_hex(4)}"  # an engine has more than one user
PYTHON_CONFIG = """\
backend: "python"
input [{ name: "x", data_type: TYPE_FP32, dims: [ 1 ] }]
output [{ name: "y", data_type: TYPE_FP32, dims: [ 1 ] }]
"""


def documented(error: object, section: int, **example: object) -> str:
    """What an error says, of which the page quotes a part; `example` is what the page's is about."""
    return quoted(error, "docker", section, {EXAMPLES[name]: here for name, here in example.items()})


EXAMPLES = {"socket": "/var/run/docker.sock", "port": "6789", "service": "triton-docker"}


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    made = docker.from_env().networks.create(SERVICE)
    yield str(made.name)
    made.remove()


@pytest.fixture
def rolled_out(tmp_path: Path, network: str, images: Images) -> Callable[..., str]:
    """Roll a service with an image out and give what it says when it fails; nothing of it may be left."""

    def run(image: str, *, section: int | None = None, scorer: bool = False, **changed: object) -> str:
        rolled = RolloutPlan(deadline_seconds=120, drain_seconds=30)
        spec = spec_of(images, image, SERVICE, tmp_path, **{"scorer": scorer, "rollout": rolled, **changed})
        with pytest.raises(ServiceError) as failed:
            rollout.apply(spec, print)
        with Engine() as engine:
            assert engine.containers(SERVICE) == []
        return documented(failed.value, section) if section else str(failed.value)

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
    monkeypatch.setattr("targets.docker.engine.DEFAULT_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(ServiceError) as failed:
        Engine()
    documented(failed.value, 1, socket=tmp_path / "docker.sock")


def test_the_port_is_taken() -> None:
    with socket.socket() as holder, Engine() as engine:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError) as failed:
            front_door.check_port(engine, SERVICE, "tests", port)
        documented(failed.value, 2, port=port)


def test_the_name_is_taken() -> None:
    labels = {"triton-serving.service": SERVICE, "triton-serving.owner": "organization/other/prod"}
    other = docker.from_env().containers.create(f"{REGISTRY}/debian:12", "true", labels=labels)
    try:
        with Engine() as engine:
            with pytest.raises(ServiceError) as failed:
                rollout.check_owner(engine, SERVICE, "tests", overwrite=False)
            assert "by the stack organization/other/prod" in documented(failed.value, 3, service=SERVICE)
            rollout.check_owner(engine, SERVICE, "tests", overwrite=True)
    finally:
        other.remove()


def test_the_engine_has_no_gpu() -> None:
    if "nvidia" in docker.from_env().info()["Runtimes"]:
        pytest.skip("this engine has GPUs to give")
    with Engine() as engine:
        engine.check_gpus(Resources())
        with pytest.raises(ServiceError) as failed:
            engine.check_gpus(Resources(gpu_cores=1))
    documented(failed.value, 4)


def test_the_base_image_does_not_exist(tmp_path: Path) -> None:
    missing = f"{REGISTRY}/tritonserver:99.99-py3"
    with Engine() as engine, pytest.raises(ServiceError) as pulled:  # `make check`
        engine.pull(missing)
    (tmp_path / "Dockerfile").write_text(f"FROM {missing}\n")
    with pytest.raises(docker.errors.DockerException) as built:  # `make up`
        docker.from_env().images.build(path=str(tmp_path))
    for refused in (pulled.value, built.value):
        assert missing in documented(refused, 5)


def test_a_model_does_not_load(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    models = python_model(tmp_path / "models", 'raise RuntimeError("no such weights")')
    said = rolled_out(images.service("unloadable", models), section=6)
    assert "model model version 1" in said
    assert "no such weights" in said
    assert f"by hand: docker run --rm --shm-size=1024m {REGISTRY}/tests/service@sha256:" in said


def test_a_configuration_is_refused_when_it_is_read(
    rolled_out: Callable[..., str], images: Images, tmp_path: Path
) -> None:
    """A field that the stand-in's release does not know."""
    models = python_model(tmp_path / "models", "pass")
    control = 'metric_identifier { family: "f" } histogram_options { buckets: 1 }'
    with (models / "triton" / "model" / "config.pbtxt").open("a") as config:
        config.write(f"model_metrics {{ metric_control: [ {{ {control} }} ] }}\n")
    started = time.monotonic()
    said = rolled_out(images.service("unreadable", models))
    assert time.monotonic() - started < 60
    assert "Triton refused it when it read its repository; its log says why" in said
    assert "Poll failed for model directory 'model': failed to read text proto from" in said


def test_a_model_answers_wrongly(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    copy = tmp_path / "models" / "triton" / "digits"
    shutil.copytree(DIGITS, copy)
    golden = json.loads((copy / "golden.json").read_text())
    golden["response"]["outputs"][0]["data"][0] += 1
    (copy / "golden.json").write_text(json.dumps(golden))
    rolled_out(images.service("wrong", tmp_path / "models"), section=7)


def test_the_script_fails(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    shutil.copytree(DIGITS, tmp_path / "models" / "triton" / "digits")
    script = tmp_path / "source" / "score.py"
    script.parent.mkdir()
    script.write_text("def init():\n    import a_package_that_is_missing\n\ndef run(data): ...\n")
    said = rolled_out(images.service("unscripted", tmp_path / "models", script), section=8, scorer=True)
    assert "No module named 'a_package_that_is_missing'" in said


def test_the_memory_is_too_little(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    models = python_model(tmp_path / "models", 'self.held = b"x" * 10**9')
    said = rolled_out(images.service("greedy", models), section=9, resources=Resources(memory_gb=0.5))
    assert "raise deployment.memoryGb" in said


def test_the_memory_is_too_little_for_triton_itself(
    rolled_out: Callable[..., str], images: Images, tmp_path: Path
) -> None:
    image = images.service("small", python_model(tmp_path / "models", "pass"))
    rolled_out(image, section=9, resources=Resources(memory_gb=16 / 1024))


def test_it_is_not_ready_in_time(rolled_out: Callable[..., str], images: Images, tmp_path: Path) -> None:
    models = python_model(tmp_path / "models", "time.sleep(60)")
    said = rolled_out(
        images.service("slow", models), section=10, rollout=RolloutPlan(deadline_seconds=8, drain_seconds=30)
    )
    assert "not ready within 8 s" in said


def test_a_triton_that_ends_is_told_with_its_exit_code(
    rolled_out: Callable[..., str], images: Images, tmp_path: Path
) -> None:
    image = images.service("slow", python_model(tmp_path / "models", "time.sleep(60)"))
    with ThreadPoolExecutor(1) as other:
        killed = other.submit(kill_triton)
        said = rolled_out(image)
        killed.result()
    assert "-triton ended with exit code 137" in said
    assert "the end of its log:" in said


def kill_triton() -> None:
    """Kill the service's Triton as soon as there is one that has said something."""
    engine = docker.from_env()
    filters = {**with_role(SERVICE, "triton"), "status": "running"}

    def talking() -> list[Any]:
        return [found for found in engine.containers.list(filters=filters) if found.logs()]

    eventually(talking, "a Triton to kill", 60, ignoring=(docker.errors.NotFound,))[0].kill()


def test_an_image_without_the_models_is_refused(network: str, images: Images, tmp_path: Path) -> None:
    image = images.service("other", python_model(tmp_path / "models", "pass"))
    other = ("m:1@0123",)  # of that name and version, and other content
    spec = spec_of(images, image, SERVICE, tmp_path, bundles=other, repositories=())
    with pytest.raises(ServiceError, match=r"image.reference \S+ holds m:\d+@\S+, and models asks for m:1@0123"):
        rollout.apply(spec, print)
