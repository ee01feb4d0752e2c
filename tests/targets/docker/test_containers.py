"""The containers that a declaration becomes, as the engine's API takes them."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from settings.service_groups import Limits, Resources, RolloutPlan
from targets.docker.containers import Container, digest_of, generation, listening_command
from targets.docker.specification import ServiceSpec


def spec(**changed: Any) -> ServiceSpec:
    return ServiceSpec(
        **{
            "service_name": "web",
            "owner": "organization/p/s of /state",
            "state_directory": Path("/state"),
            "network": "web-1",
            "image": f"sha256:{'c' * 64}",
            "bundles": ("m:1@sha256:d",),
            "repositories": ("/opt/service/models/m/1/triton",),
            "scorer": True,
            "resources": Resources(),
            "limits": Limits(),
            "rollout": RolloutPlan(drain_seconds=30),
            **changed,
        }
    )


def rendered(**changed: Any) -> dict[str, Container]:
    return {container.role: container for container in generation(spec(**changed), 3)}


def environment(container: Container) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in container.body["Env"])


def test_names_tell_the_service_the_generation_and_the_role() -> None:
    assert [container.name for container in generation(spec(), 3)] == ["web-3-network", "web-3-triton", "web-3-scorer"]
    assert rendered(repositories=()).keys() == {"network", "scorer"}
    assert rendered(scorer=False).keys() == {"network", "triton"}


def test_triton_alone_gets_the_gpus_of_a_service_that_has_it() -> None:
    containers = rendered(resources=Resources(gpu_cores=2))
    (request,) = containers["triton"].body["HostConfig"]["DeviceRequests"]
    assert (request["Count"], request["Capabilities"]) == (2, [["gpu"]])
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(containers["triton"])
    for role in ("network", "scorer"):
        assert "DeviceRequests" not in containers[role].body["HostConfig"]
        assert environment(containers[role])["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_the_script_gets_the_gpus_where_it_loads_the_models_itself() -> None:
    scorer = rendered(resources=Resources(gpu_cores=1), repositories=())["scorer"]
    assert scorer.body["HostConfig"]["DeviceRequests"][0]["Count"] == 1


def test_the_scripts_variables_reach_triton_and_the_script_and_nobody_else() -> None:
    containers = rendered(variables={"WORKER_COUNT": "2"})
    assert environment(containers["triton"])["WORKER_COUNT"] == environment(containers["scorer"])["WORKER_COUNT"] == "2"
    assert "WORKER_COUNT" not in environment(containers["network"])


def test_memory_is_shared_out_and_shared_memory_is_a_quarter_of_tritons() -> None:
    containers = rendered(resources=Resources(memory_gb=4), scorer_share=0.25)
    host = {role: container.body["HostConfig"] for role, container in containers.items()}
    assert (host["triton"]["Memory"], host["scorer"]["Memory"]) == (3072 * 2**20, 1024 * 2**20)
    assert host["triton"]["ShmSize"] == 768 * 2**20
    assert rendered(shared_memory_mb=100)["triton"].body["HostConfig"]["ShmSize"] == 100 * 2**20


def test_triton_has_longer_to_stop_than_it_takes() -> None:
    body = rendered()["triton"].body
    (timeout,) = (word for word in body["Cmd"] if word.startswith("--exit-timeout-secs="))
    assert body["StopTimeout"] > int(timeout.partition("=")[2])


@pytest.mark.parametrize(
    "changed",
    [
        {"owner": "another"},
        {"overwrite": True},
        {"rollout": RolloutPlan(strategy="recreate", drain_seconds=30)},
        {"rollout": RolloutPlan(deadline_seconds=7, drain_seconds=30)},
        {"state_directory": Path("/elsewhere")},
    ],
)
def test_what_no_container_depends_on_makes_no_new_generation(changed: dict[str, Any]) -> None:
    assert digest_of(spec(**changed)) == digest_of(spec())


@pytest.mark.parametrize(
    "changed",
    [
        {"image": f"sha256:{'e' * 64}"},
        {"variables": {"A": "1"}},
        {"resources": Resources(memory_gb=2)},
        {"network": "web-2"},
        {"limits": Limits(scoring_timeout_ms=1)},
        {"rollout": RolloutPlan(drain_seconds=1)},
    ],
)
def test_what_a_container_depends_on_makes_a_new_generation(changed: dict[str, Any]) -> None:
    assert digest_of(spec(**changed)) != digest_of(spec())


def test_a_new_version_of_the_project_that_renders_other_containers_makes_a_new_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = digest_of(spec())
    monkeypatch.setattr("targets.commands.RELOADABLE", ("--model-control-mode=none",))
    assert digest_of(spec()) != before


def test_the_recorder_is_there_where_requests_to_triton_are_recorded() -> None:
    assert "recorder" not in rendered()
    assert "recorder" not in rendered(recorded_megabytes=100, repositories=())
    container = rendered(recorded_megabytes=100, variables={"COLLECT_URL": "s3://bucket"})["recorder"]
    host = container.body["HostConfig"]
    assert container.name == "web-3-recorder"
    assert (host["NetworkMode"], host["Memory"]) == ("container:web-3-network", 256 * 2**20)
    assert container.body["Entrypoint"] + container.body["Cmd"] == [
        *("python", "-I", "-m", "serving.recording"),
        *("--host=0.0.0.0", "--port=8003", "--megabytes=100"),
    ]
    assert (environment(container)["SERVICE_NAME"], environment(container)["COLLECT_URL"]) == ("web", "s3://bucket")
    assert "DeviceRequests" not in host


def test_the_recorder_is_awaited_until_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        python, *rest = listening_command(0.2)
        assert (python, rest[2]) == ("python", "8003")
        rest[2] = str(server.getsockname()[1])
        assert subprocess.run([sys.executable, *rest], check=False).returncode == 0
    ended = subprocess.run([sys.executable, *rest], check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("the recorder does not listen: ")


def test_a_recorder_is_another_generation_and_no_recorder_is_none() -> None:
    assert digest_of(spec(recorded_megabytes=100)) != digest_of(spec())
    assert digest_of(spec(recorded_megabytes=100)) != digest_of(spec(recorded_megabytes=200))
    assert digest_of(spec(recorded_megabytes=None)) == digest_of(spec())
