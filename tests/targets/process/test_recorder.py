"""The recorder of a service: real Triton, real Envoy; what clients asked judges the next version."""

from __future__ import annotations

import json
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import onnx
import psutil
import pytest
from tritonclient.grpc import service_pb2

from gateway.keys import make_key
from serving.probing.golden_check import Problem
from settings.recording import RecordRequests
from settings.rollout_gates import Replay
from settings.service_groups import Limits, Opening, Resources, RolloutPlan
from targets.errors import ServiceError
from targets.machine.ports import free_ports
from targets.machine.specification import FrontDoorSpec
from targets.process import front_door, rollout, service
from targets.process.generation_probe import GenerationProbe
from targets.process.service_folder import Generation, ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.process.supervisor import Process, Supervisor
from tests.targets.process.conftest import OWNER, PROJECT, spec_of_triton
from tests.waiting import eventually

KEY = make_key()
MODEL, INPUT = "wine", "measurements"
ROW = [13.32, 3.24, 2.38, 21.5, 92.0, 1.93, 0.76, 0.45, 1.25, 8.42, 0.55, 1.62, 650.0]
GRPC = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Wine:
    """A service of the model `wine`, whose front door copies every request to the recorder."""

    folder: Path
    said: list[str] = field(default_factory=list)
    port: int = field(default_factory=lambda: free_ports(1)[0])

    @property
    def collected(self) -> Path:
        return self.folder / "collected"

    @property
    def directory(self) -> ServiceDirectory:
        return ServiceDirectory.of(self.folder / "state", "web")

    def spec(self, models: Path, **changed: Any) -> ServiceSpec:
        values: dict[str, Any] = {
            "rollout": RolloutPlan(deadline_seconds=120, drain_seconds=5, replay=Replay(requests=20)),
            "variables": {"COLLECT_URL": str(self.collected), "COLLECT_SECONDS": "1"},
            "recorded_megabytes": 100,
        }
        return spec_of_triton(self.folder, models, **{**values, **changed})

    def up(self, models: Path, *, sample: float | None = 1.0, **changed: Any) -> Generation:
        self.said.clear()
        generation = rollout.apply(self.spec(models, **changed), self.said.append)
        recording = RecordRequests.model_validate({"sample": sample}) if sample else None
        door = FrontDoorSpec(
            service_name="web",
            owner=OWNER,
            state_directory=self.folder / "state",
            shape=("triton",),
            opening=Opening(port=self.port, record_requests=recording),
            limits=Limits(),
            resources=Resources(),
            primary_key=KEY,
            secondary_key=make_key(),
        )
        front_door.apply(door)
        return generation

    def ask(self, acid: float, **headers: str) -> int:
        tensor = {"name": INPUT, "shape": [1, 13], "datatype": "FP32", "data": row(acid)}
        return self.post(json.dumps({"inputs": [tensor]}).encode(), **headers)

    def ask_binary(self, acid: float) -> int:
        data = struct.pack("<13f", *row(acid))
        size = {"binary_data_size": len(data)}
        tensor = {"name": INPUT, "shape": [1, 13], "datatype": "FP32", "parameters": size}
        head = json.dumps({"inputs": [tensor]}).encode()
        return self.post(head + data, **{"Inference-Header-Content-Length": str(len(head))})

    def ask_grpc(self, acid: float) -> None:
        tensor = {"name": INPUT, "datatype": "FP32", "shape": [1, 13]}
        data = struct.pack("<13f", *row(acid))
        message = service_pb2.ModelInferRequest(model_name=MODEL, inputs=[tensor], raw_input_contents=[data])
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_unary(GRPC)
            answer = call(message.SerializeToString(), metadata=[("authorization", f"Bearer {KEY}")], timeout=30)
        assert service_pb2.ModelInferResponse.FromString(answer).model_name == MODEL

    def post(self, body: bytes, **headers: str) -> int:
        sent = {"Authorization": f"Bearer {KEY}", **headers}
        url = f"http://127.0.0.1:{self.port}/v2/models/{MODEL}/infer"
        return httpx.post(url, content=body, headers=sent, timeout=30).status_code

    def texts(self) -> list[str]:
        return [file.read_text() for file in self.collected.glob("requests/web/date=*/*.jsonl")]

    def await_records(self, number: int) -> list[dict[str, Any]]:
        eventually(lambda: sum(text.count("\n") for text in self.texts()) >= number, f"{number} records")
        return [json.loads(line) for text in self.texts() for line in text.splitlines()]


def row(acid: float) -> list[float]:
    return [ROW[0], acid, *ROW[2:]]


def models(folder: Path, *, factor: float = 1.0) -> Path:
    """The model, with its weights multiplied: the golden inference of the original is left out then."""
    shutil.copytree(PROJECT / "model_repository" / "triton" / MODEL, folder / "triton" / MODEL)
    if factor != 1.0:
        (folder / "triton" / MODEL / "golden.json").unlink()
        file = folder / "triton" / MODEL / "1" / "model.onnx"
        model = onnx.load(file)
        weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
        changed = onnx.numpy_helper.to_array(weights) * np.float32(factor)
        weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
        onnx.save(model, file)
    return folder


@pytest.fixture
def wine(tmp_path: Path) -> Iterator[Wine]:
    found = Wine(tmp_path)
    yield found
    service.remove(tmp_path / "state", "web", OWNER)


def test_what_clients_asked_refuses_a_perturbed_model_and_lets_a_good_one_pass(wine: Wine, tmp_path: Path) -> None:
    good = models(tmp_path / "good")
    old = wine.up(good)
    assert wine.directory.generation_numbers() == [old.number]
    for value in range(5):
        assert wine.ask(value, **{"Cookie": "a=secret", "x-request-id": f"json-{value}"}) == 200
        assert wine.ask_binary(value) == 200
        wine.ask_grpc(value)
    assert wine.post(b'{"inputs": [') == 400
    records = wine.await_records(16)
    assert len(records) == 16
    assert {record["path"] for record in records} == {f"/v2/models/{MODEL}/infer", GRPC}
    assert {record["version"] for record in records} == {"m:1"}
    everything = "".join(wine.texts()) + "".join(log.read_text() for log in wine.directory.logs.glob("recorder-*"))
    assert KEY not in everything
    assert "secret" not in everything
    with pytest.raises(ServiceError) as refused:
        wine.up(models(tmp_path / "other", factor=1.5))
    text = str(refused.value)
    assert text.startswith(f"replay refused generation {old.number + 1}; generation {old.number} serves on")
    assert "requests that COLLECT_URL holds" in text
    assert "asked: 16 requests" in text
    assert "(not in the record)" in text  # answers are not recorded, and so not shown
    assert wine.ask(1.0) == 200
    new = wine.up(good, variables={**wine.spec(good).variables, "A": "b"})
    assert new.number > old.number
    assert any("1 requests are left out: both versions fail to answer them" in line for line in wine.said)
    assert wine.ask(1.0) == 200


def test_a_killed_recorder_comes_back_and_nobody_loses_a_request(wine: Wine, tmp_path: Path) -> None:
    generation = wine.up(models(tmp_path / "good"))
    name = f"recorder-{generation.number}"
    supervisor = Supervisor(wine.directory)
    pid = supervisor.processes()[name].pid
    for child in psutil.Process(pid).children(recursive=True):
        child.kill()
    for _ in range(50):
        assert wine.ask(1.0) == 200
    eventually(lambda: supervisor.processes()[name].pid not in (0, pid))

    def recorded() -> bool:
        assert wine.ask(2.0) == 200
        return bool(wine.texts())

    eventually(recorded)


def test_recording_ends_and_begins_with_the_setting(wine: Wine, tmp_path: Path) -> None:
    good = models(tmp_path / "good")
    without = wine.up(good, sample=None, recorded_megabytes=None)
    assert without.recorder is None
    assert wine.ask(1.0) == 200
    recording = wine.up(good)
    assert (recording.number, bool(recording.recorder)) == (2, True)
    assert wine.ask(1.0) == 200
    wine.await_records(1)
    assert wine.up(good, sample=0.5) == recording  # a sample is the front door's
    ended = wine.up(good, sample=None, recorded_megabytes=None)
    assert (ended.number, ended.recorder) == (3, None)
    assert wine.ask(1.0) == 200
    assert sorted(Supervisor(wine.directory).processes()) == ["envoy", "triton-3"]


def test_a_hook_that_is_not_there_is_told_by_up(wine: Wine, tmp_path: Path) -> None:
    variables = {"COLLECT_URL": str(wine.collected), "COLLECT_REDACT": "nowhere:hide"}
    with pytest.raises(ServiceError, match=r"recorder-1 ended before it was ready[^$]*cannot import 'nowhere:hide'"):
        wine.up(models(tmp_path / "good"), variables=variables)


class Programs(Supervisor):
    """A supervisor that says of each program what a test says."""

    def __init__(self, **states: str) -> None:
        self.states = states

    def processes(self) -> dict[str, Process]:
        named = {role.replace("_", "-"): state for role, state in self.states.items()}
        return {
            name: Process(name, state, pid=number + 1, seconds=9) for number, (name, state) in enumerate(named.items())
        }


@pytest.fixture
def wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Wait for a generation whose servers are ready, and whose recorder's program has a state."""
    monkeypatch.setattr(GenerationProbe, "problems", lambda *_: [])
    directory = ServiceDirectory.of(tmp_path, "web")
    directory.generation(1).mkdir(parents=True)
    (directory.generation(1) / "probe.json").write_text("{}")
    (tmp_path / "recorder-1").write_text("cannot import 'nowhere:hide'\n")

    def wait(port: int, state: str, *, is_new: bool) -> None:
        generation = Generation(number=1, digest="d", triton_http=1, recorder=port)
        programs = Programs(triton_1="RUNNING", recorder_1=state)
        probe = GenerationProbe(programs, generation, directory, log=lambda name: tmp_path / name)
        probe.wait(0.5, lambda _: None, is_new=is_new)

    return wait


def test_a_new_generation_waits_for_its_recorder_to_listen(wait: Callable[..., None]) -> None:
    (port,) = free_ports(1)
    with pytest.raises(ServiceError, match=f"not ready within 0.5 s:\\nrecorder: nobody listens at 127.0.0.1:{port}"):
        wait(port, "RUNNING", is_new=True)
    with pytest.raises(ServiceError, match=r"recorder-1 ended before it was ready[^$]*cannot import 'nowhere:hide'"):
        wait(port, "BACKOFF", is_new=True)
    with socket.create_server(("127.0.0.1", port)):
        wait(port, "RUNNING", is_new=True)


def test_the_recorder_of_a_generation_that_served_before_decides_nothing(
    wait: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = iter([[Problem("triton: busy")], []])
    monkeypatch.setattr(GenerationProbe, "problems", lambda *_: next(once))
    wait(free_ports(1)[0], "BACKOFF", is_new=False)
