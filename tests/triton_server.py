"""A real Triton on a model repository, started as a service's generation starts it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tritonclient.http import InferenceServerClient

from environment.curated_clone import Environment
from environment.venv import BuiltEnvironment
from settings.service_groups import Limits, Resources, RolloutPlan
from targets.machine.ports import free_ports
from targets.process import programs
from targets.process.service_folder import Generation
from targets.process.specification import ServedBundle, ServiceSpec
from targets.process.supervisor import LAUNCH
from tests.built_environments import kept

SECONDS = 60
START_SECONDS = 180  # each model starts a Python process of its own


def build_environment() -> BuiltEnvironment:
    """The environment of the example stack."""
    return kept(Environment.get("AzureML-Triton").clone("Tests").add_pip_package("nltk"), "triton-tests")


@dataclass(frozen=True)
class Triton:
    """A running server; `log` has what it wrote."""

    port: int
    log: Path
    grpc_port: int
    metrics_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, concurrency: int = 1) -> InferenceServerClient:
        return InferenceServerClient(f"127.0.0.1:{self.port}", concurrency=concurrency)

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}/v2/{path}", timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()

    def infer(self, model: str, version: str = "", **inputs: tuple[str, list[int], list[Any]]) -> httpx.Response:
        """Triton's answer to an inference request; an input is its data type, its shape and its values."""
        body = {
            "inputs": [
                {"name": name, "datatype": datatype, "shape": shape, "data": data}
                for name, (datatype, shape, data) in inputs.items()
            ]
        }
        path = f"{self.url}/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
        return httpx.post(path, json=body, timeout=SECONDS)

    def index(self) -> dict[tuple[str, str], dict[str, str]]:
        """Triton's repository index, by model and version: `state`, and the `reason` why one is not ready."""
        models = httpx.post(f"{self.url}/v2/repository/index", timeout=SECONDS).json()
        return {(model["name"], model.get("version", "")): model for model in models}


@contextlib.contextmanager
def serve(environment: BuiltEnvironment, bundle: Path, folder: Path, *, memory_gb: float = 4) -> Iterator[Triton]:
    """Start Triton on the models in `bundle`/triton; yields it once it has loaded or refused each of them."""
    generation = Generation(number=1, digest="", **dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
    served = ServedBundle(registry="", name="tests", version=1, digest="", path=bundle, framework="Multi")
    spec = ServiceSpec(
        service_name="tests",
        owner="tests",
        overwrite=True,
        state_directory=folder,
        bundles=(served,),
        environment_path=environment.path,
        environment_digest=environment.digest,
        variables={},
        resources=Resources(memory_gb=memory_gb),
        limits=Limits(),
        rollout=RolloutPlan(drain_seconds=30),
    )
    launch = programs.triton(
        spec, generation, directory=folder, shared_memory=f"tests-{os.getpid()}-{generation.triton_http}-"
    )
    (folder / "triton.json").write_text(launch.to_json())
    (folder / "pid").write_text(str(os.getpid()))
    log = folder / "triton.log"
    with log.open("wb") as stream:
        command = [sys.executable, str(LAUNCH), str(folder / "triton.json"), str(folder / "pid")]
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    triton = Triton(
        generation.triton_http or 0, log, generation.triton_grpc or 0, generation.triton_metrics or 0, process
    )
    try:
        _await_start(process, triton)
        yield triton
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


PORTS = ("triton_http", "triton_grpc", "triton_metrics")


def _await_start(process: "subprocess.Popen[bytes]", triton: Triton) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{triton.url}/v2/health/live", timeout=SECONDS)
            return  # it listens after the models were loaded
        time.sleep(0.1)
    pytest.fail(f"Triton did not start: {triton.log.read_text()[-2000:]}")
