"""What an engine says of itself, and what follows from it."""

import os
import threading
import time
from typing import Any

import docker
import pytest

from common import waiting
from settings.service_groups import Resources
from targets.docker.engine import Engine
from targets.errors import ServiceError


@pytest.fixture
def engine_that_says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an engine whose description is given; nothing listens."""

    def make(**info: Any) -> Engine:
        class Client:
            def __init__(self, **_: Any) -> None: ...

            def info(self) -> dict[str, Any]:
                return info

        monkeypatch.setattr(docker, "APIClient", Client)
        monkeypatch.setattr("targets.docker.engine.shutil.which", lambda name: None)
        return Engine()

    return make


def cdi(*names: str) -> list[dict[str, str]]:
    return [{"Source": "cdi", "ID": name} for name in names]


@pytest.mark.parametrize(
    "info",
    [
        {"Runtimes": {"nvidia": {}, "runc": {}}},
        {"DiscoveredDevices": cdi("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all")},
    ],
)
def test_two_gpus_can_be_had_by_the_runtime_or_by_cdi(engine_that_says: Any, info: dict[str, Any]) -> None:
    engine_that_says(**info).check_gpus(Resources(gpu_cores=2))


@pytest.mark.parametrize("devices", [[], cdi("amd.com/gpu=0", "vendor.com/camera=0")])
def test_an_engine_without_nvidias_gpus_is_refused(engine_that_says: Any, devices: list[dict[str, str]]) -> None:
    with pytest.raises(ServiceError, match="has no GPU to give; install the NVIDIA Container Toolkit"):
        engine_that_says(Runtimes={"runc": {}}, DiscoveredDevices=devices).check_gpus(Resources(gpu_cores=1))


def test_more_gpus_than_the_engine_has_are_refused(engine_that_says: Any) -> None:
    engine = engine_that_says(Runtimes={"nvidia": {}}, DiscoveredDevices=cdi("nvidia.com/gpu=0", "nvidia.com/gpu=all"))
    with pytest.raises(ServiceError, match=r"deployment\.gpuCores 2: .* has 1; set deployment\.gpuCores to 1 at most"):
        engine.check_gpus(Resources(gpu_cores=2))


@pytest.mark.parametrize(
    ("options", "user"),
    [
        (["name=apparmor", "name=seccomp,profile=builtin"], f"{os.getuid()}:{os.getgid()}"),
        (["name=seccomp,profile=builtin", "name=rootless"], "0:0"),
        (["name=userns"], "0:0"),
    ],
)
def test_the_front_door_runs_as_whoever_owns_the_keys_in_a_container(
    engine_that_says: Any, options: list[str], user: str
) -> None:
    assert engine_that_says(SecurityOptions=options).user() == user


def test_who_cancels_does_not_wait_for_a_command_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()

    class Client:
        timeout = 60

        def __init__(self, **_: Any) -> None: ...

        def exec_create(self, name: str, command: list[str]) -> dict[str, str]:
            return {"Id": "1"}

        def exec_start(self, created: str) -> bytes:
            waiting.cancel()
            ends.wait(60)
            return b"late"

    monkeypatch.setattr(waiting, "_cancelled", threading.Event())
    monkeypatch.setattr(docker, "APIClient", Client)
    started = time.monotonic()
    with pytest.raises(waiting.Cancelled):
        Engine().run("web-1-triton", ["probe"], 300)
    assert time.monotonic() - started < 30
    ends.set()
