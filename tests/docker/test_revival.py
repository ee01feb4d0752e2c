"""In a container too, a model whose process died comes back, and its Triton goes on."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from environment.image_layout import PROBE_TRITON, repository
from settings.service_groups import Limits, Resources, RolloutPlan
from targets.docker import rollout
from targets.docker.engine import Engine
from targets.docker.specification import ServiceSpec
from tests.cluster.images import Images
from tests.waiting import eventually

SERVICE = f"tests-{secrets.token_hex(4)}"
CONFIG = """\
backend: "python"
input [ { name: "s" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
response_cache { enable: true }
"""
MODEL = """
import os
import pathlib
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        with open(pathlib.Path(__file__).with_name("words.txt")) as file:
            self.words = file.read().split()

    def execute(self, requests):
        if any(pb.get_input_tensor_by_name(request, "s").as_numpy()[0] == -1 for request in requests):
            os._exit(3)
        return [pb.InferenceResponse([pb.Tensor("y", np.array([len(self.words)], np.float32))]) for _ in requests]
"""
ASK = """
import sys
from serving.probing import probe
body = {"inputs": [{"name": "s", "shape": [1], "datatype": "FP32", "data": [float(sys.argv[1])]}]}
print(probe.request("http://localhost:8000/v2/models/fragile/infer", method="POST", body=body, timeout=60)[1].decode())
"""


@pytest.fixture
def triton(images: Images, tmp_path: Path) -> Iterator[Container]:
    """Triton's container of a service with one Python model."""
    version = tmp_path / "models" / "triton" / "fragile" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(CONFIG)
    (version / "model.py").write_text(MODEL)
    (version / "words.txt").write_text("naïve größe", encoding="utf-8")
    image = images.service("fragile", tmp_path / "models")
    client = docker.from_env()
    network = client.networks.create(SERVICE)
    spec = ServiceSpec(
        service_name=SERVICE,
        owner="tests",
        resources=Resources(),
        limits=Limits(),
        rollout=RolloutPlan(deadline_seconds=240, drain_seconds=30),
        state_directory=tmp_path,
        network=SERVICE,
        image=image,
        bundles=(images.held_by(image),),
        repositories=(repository("m", images.version_of(image)),),
    )
    try:
        rollout.apply(spec, print)
        labels = [f"triton-serving.service={SERVICE}", "triton-serving.role=triton"]
        (container,) = client.containers.list(filters={"label": labels})
        yield container
    finally:
        with Engine() as engine:
            for container in engine.containers(SERVICE):
                engine.remove(container.name)
        network.remove()


def ask(triton: Container, value: float) -> object:
    return json.loads(triton.exec_run(["python", "-c", ASK, str(value)]).output)


def is_ready(triton: Container) -> bool:
    return triton.exec_run(["python", "-m", "serving.probing.probe", PROBE_TRITON]).exit_code == 0


def test_a_model_whose_process_dies_comes_back_and_its_triton_goes_on(triton: Container) -> None:
    answer = {"name": "y", "datatype": "FP32", "shape": [1], "data": [2.0]}
    assert ask(triton, 1)["outputs"] == [answer]  # type: ignore[index]
    started = triton.attrs["State"]["StartedAt"]
    assert "is not healthy" in str(ask(triton, -1))
    eventually(lambda: is_ready(triton) and b"is back after" in triton.logs(), "the model is back", 60)
    assert ask(triton, 1)["outputs"] == [answer]  # type: ignore[index]
    triton.reload()
    assert (triton.attrs["State"]["StartedAt"], triton.attrs["RestartCount"]) == (started, 0)
    assert b"cache_enabled" in triton.logs()
    assert b"TritonCache" in triton.logs()
