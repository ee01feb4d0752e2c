"""In a container too, a model whose process died comes back, and its Triton goes on."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from environment.image_layout import PROBE_TRITON
from settings.service_groups import RolloutPlan
from targets.docker import rollout
from targets.docker.engine import Engine
from tests import fragile_model
from tests.cluster.images import Images
from tests.docker.project import spec_of, with_role
from tests.waiting import eventually

SERVICE = f"tests-{secrets.token_hex(4)}"
ASK = """
import sys
from serving.probing import probe
body = {"inputs": [{"name": "s", "shape": [1], "datatype": "FP32", "data": [float(sys.argv[1])]}]}
print(probe.request("http://localhost:8000/v2/models/fragile/infer", method="POST", body=body, timeout=60)[1].decode())
"""


@pytest.fixture
def triton(images: Images, tmp_path: Path) -> Iterator[Container]:
    """Triton's container of a service with one Python model."""
    fragile_model.save(tmp_path / "models" / "triton" / "fragile", fragile_model.CACHED)
    image = images.service("fragile", tmp_path / "models")
    client = docker.from_env()
    network = client.networks.create(SERVICE)
    rolled = RolloutPlan(deadline_seconds=240, drain_seconds=30)
    spec = spec_of(images, image, SERVICE, tmp_path, rollout=rolled)
    try:
        rollout.apply(spec, print)
        (container,) = client.containers.list(filters=with_role(SERVICE, "triton"))
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
    answer = {"name": "y", "datatype": "FP32", "shape": [1], "data": [3.0]}
    assert ask(triton, 1)["outputs"] == [answer]  # type: ignore[index]
    started = triton.attrs["State"]["StartedAt"]
    assert "is not healthy" in str(ask(triton, -1))
    eventually(lambda: is_ready(triton) and b"is back after" in triton.logs(), "the model is back", 60)
    assert ask(triton, 1)["outputs"] == [answer]  # type: ignore[index]
    triton.reload()
    assert (triton.attrs["State"]["StartedAt"], triton.attrs["RestartCount"]) == (started, 0)
    assert b"cache_enabled" in triton.logs()
    assert b"TritonCache" in triton.logs()
