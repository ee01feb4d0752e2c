import re
import socket

import pulumi
import pytest

from components.access_keys import AccessKeys, AccessKeysArgs
from components.docker_deployment import DockerDeployment, DockerDeploymentArgs
from components.gateway import Gateway, GatewayArgs
from components.stack_settings import SERVICE, stack_name
from targets.docker.engine import Found, NoEngineError
from targets.errors import ServiceError
from tests.components.conftest import bundles_of, secrets_of

IMAGE = f"sha256:{'c' * 64}"


class IdleEngine:
    """An engine that runs nothing of ours, or a container of another stack."""

    owner = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def containers(self, service):
        found = Found(
            name=f"{service}-1-triton",
            role="triton",
            owner=self.owner,
            generation=1,
            digest="",
            running=True,
            health="",
            started="",
            address="",
            ports=(),
        )
        return [found] if self.owner else []

    def owned(self, owner):
        return []

    def check_gpus(self, resources):
        if resources.has_gpu:
            raise ServiceError(f"deployment.gpuCores {resources.gpu_cores}: no GPU")


@pytest.fixture
def engine(monkeypatch):
    """Stands in for the engine."""

    class Engine(IdleEngine):
        pass

    monkeypatch.setattr("targets.docker.machine_target.Engine", Engine)
    return Engine


@pytest.fixture
def declare_docker(declare, settings_with, engine, tmp_path):
    """Declare a service on target `docker`, named `svc`."""

    def run(deployment=None, **changed):
        # A short name, for the path of a socket in this test's folder.
        changed = {
            "serviceName": "web",
            **changed,
            "deployment": {"target": "docker", "port": 16789, **(deployment or {})},
        }
        settings = settings_with(**changed)

        def declared():
            DockerDeployment.check(SERVICE, settings)  # as the program does before it declares anything
            keys = AccessKeys("svc-keys", AccessKeysArgs.of(settings, secrets_of(settings)))
            bundles = bundles_of(settings)
            deployed = DockerDeployment(
                "svc-dep", DockerDeploymentArgs(settings, bundles=bundles, owner=stack_name(), image=IMAGE)
            )
            gateway = Gateway("svc-gw", GatewayArgs(settings, keys=keys, deployment=deployed))
            return {"state": gateway.state, "shape": deployed.shape, "metricsUri": gateway.metrics_uri}

        return declare(declared)

    return run


def test_the_service_is_a_child_in_a_network_of_its_own(declare_docker):
    declared = declare_docker()
    network, service = declared.resources["svc-dep-network"], declared.resources["svc-dep-service"]
    assert (network.type, network.parent) == ("docker:index/network:Network", "svc-dep")
    assert (service.type, service.parent) == ("triton:index:DockerService", "svc-dep")
    # Two stacks may have the same service's name (`overwrite`), but never the same network.
    assert re.fullmatch("triton-serving-test-[0-9a-f]{8}", network.inputs["name"])
    assert service.inputs["network"] == network.inputs["name"]
    assert service.inputs["image"] == IMAGE
    assert service.inputs["bundles"] == [f"triton_model:1@{'d' * 64}"]
    assert service.inputs["repositories"] == ["/opt/service/models/triton_model/1/triton"]
    assert declared.values["state"] == "Healthy"


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        ({}, ["triton"]),
        ({"entryScript": "score.py"}, ["triton", "scorer"]),
        ({"entryScript": "score.py", "models": [{"path": "scripts", "name": "m", "framework": "Custom"}]}, ["scorer"]),
    ],
)
def test_the_shape_follows_from_the_models_and_the_script(declare_docker, scripts, changed, shape):
    assert declare_docker(**changed).values["shape"] == shape


def test_limits_come_from_the_deployment(declare_docker):
    inputs = declare_docker({"memoryGb": 1.5, "cpuCores": 2}).resources["svc-dep-service"].inputs
    assert (inputs["resources"]["memoryGb"], inputs["resources"]["cpuCores"]) == (1.5, 2)


def test_the_front_door_is_a_container_with_the_keys_as_secrets(declare_docker):
    declared = declare_docker()
    door, image = declared.resources["svc-gw-front-door"], declared.resources["svc-gw-front-door-image"]
    assert (door.type, door.parent) == ("triton:index:DockerFrontDoor", "svc-gw")
    assert door.secrets == {"primaryKey", "secondaryKey"}
    assert door.inputs["image"] == f"sha256:{'f' * 64}"
    assert image.inputs["name"] == "docker.io/envoyproxy/envoy:v1.40.0"
    assert declared.values["metricsUri"] == "http://localhost:6790/metrics"


def test_a_service_of_another_stack_is_refused_before_anything_is_declared(declare_docker, engine):
    engine.owner = "organization/other/prod"
    with pytest.raises(ServiceError, match="taken on this Docker engine by the stack organization/other/prod"):
        declare_docker()
    assert declare_docker({"overwrite": True}).resources["svc-dep-service"].inputs["overwrite"] is True


def test_gpus_that_the_engine_lacks_are_refused_before_anything_is_declared(declare_docker):
    with pytest.raises(ServiceError, match=r"deployment\.gpuCores 1"):
        declare_docker({"gpuCores": 1})


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_declared(declare_docker):
    with pytest.raises(ServiceError, match="a Unix socket's path may have 107; set stateDirectory to a shorter path"):
        declare_docker(stateDirectory=f"{'long/' * 20}")


def test_without_an_engine_up_is_refused_and_preview_warned(
    declare_docker, declare, program, settings_with, monkeypatch
):
    def no_engine():
        raise NoEngineError("no Docker engine answers at unix:///nowhere")

    monkeypatch.setattr("targets.docker.machine_target.Engine", no_engine)
    with pytest.raises(ServiceError, match="no Docker engine answers"):
        declare_docker()
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    told = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_: told.append(text))
    settings = settings_with(serviceName="web", deployment={"target": "docker"})
    assert "service-deployment-service" in declare(lambda: program(settings)).resources
    assert told == ["no Docker engine answers at unix:///nowhere"]


@pytest.mark.parametrize("setting", ["port", "metricsPort"])
def test_a_taken_port_ends_it_before_anything_is_declared(declare_docker, setting):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"deployment.{setting} {port} is taken by another process"):
            declare_docker({setting: port})
