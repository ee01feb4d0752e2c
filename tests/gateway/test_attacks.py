"""Requests that ended Triton, or took all memory, sent through the front door to a real one, which goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.front_door_options import Triton as Addresses
from gateway.front_door_options import Upstreams, loopback
from tests import attacks, onnx_models
from tests.attacks import Attack
from tests.gateway.conftest import Gateway, running
from tests.triton_server import Triton, build_environment, serve

COLUMNS = 13
PATH = "/v2/models/measurements"
ROW = [1.0] * COLUMNS
LIMIT = 8 * attacks.MEBIBYTE
ODD = (None, True, -1, 1.5, 2**64, "a", [], [None], {}, {"a": None})
SEQUENCE = {"sequence_id": 1, "sequence_start": True, "priority": 1, "timeout": 1, "x": 1}
MEMORY = {"shared_memory_region": "a", "shared_memory_offset": 0, "shared_memory_byte_size": 1}
REQUESTS = {
    "infer": {
        "id": "a",
        "inputs": [
            {
                "name": "x",
                "shape": [1, COLUMNS],
                "datatype": "FP32",
                "data": ROW,
                "parameters": {"binary_data_size": 1},
            },
            {"name": "x", "shape": [1, 1], "datatype": "BYTES", "data": ["a"], "parameters": MEMORY},
        ],
        "outputs": [{"name": "y", "parameters": {"classification": 1, "binary_data": False, **MEMORY}}],
        "parameters": {"binary_data_output": False, **SEQUENCE},
    },
    "generate": {"id": "a", "x": ROW, "parameters": SEQUENCE},
}
"""Requests with whatever they may have, each part of which takes other types in turn."""


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    bundle = tmp_path_factory.mktemp("attacked")
    onnx_models.save_scaling(bundle / "triton" / "measurements" / "1", 2, ("batch", COLUMNS))
    with serve(build_environment(), bundle, tmp_path_factory.mktemp("run")) as server:
        yield server


@pytest.fixture(scope="module")
def door(triton: Triton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    upstreams = Upstreams(Addresses(loopback(triton.port), loopback(triton.grpc_port), loopback(triton.metrics_port)))
    with running(tmp_path_factory.mktemp("door"), upstreams, max_request_bytes=LIMIT) as gateway:
        yield gateway


def serves(door: Gateway) -> bool:
    answer = door.ask("POST", f"{PATH}/infer", attacks.inference("x", [1, COLUMNS], ROW))
    return answer.status == 200 and answer.json()["outputs"][0]["data"] == [2.0] * COLUMNS


@pytest.mark.parametrize("attack", list(attacks.attacks("x", COLUMNS)), ids=str)
def test_one_request_does_not_end_the_service(door: Gateway, triton: Triton, attack: Attack) -> None:
    answer = door.ask("POST", f"{PATH}/{attack.verb}", attack.body, attack.headers)
    assert answer.status in attack.statuses, answer.body
    assert answer.json()["error"]
    assert serves(door)
    assert triton.process.poll() is None


def changed(part: Any) -> Iterator[Any]:
    """A JSON value with one of its parts at a time in another type."""
    yield from ODD
    items = part.items() if isinstance(part, dict) else enumerate(part[:2]) if isinstance(part, list) else ()
    for key, inner in items:
        for other in changed(inner):
            copy = part.copy()
            copy[key] = other
            yield copy


@pytest.mark.parametrize("verb", ["infer", "generate"])
def test_a_part_of_another_type_is_no_error_of_the_server(door: Gateway, verb: str) -> None:
    for body in changed(REQUESTS[verb]):
        answer = door.ask("POST", f"{PATH}/{verb}", json.dumps(body).encode())
        assert answer.status < 500, (body, answer.body)
    assert serves(door)


@pytest.mark.parametrize("shape", [[10**9, COLUMNS], [2**62, COLUMNS], [2**62, 4], [-1, COLUMNS], [-1, -COLUMNS]])
@pytest.mark.parametrize("typed", [False, True], ids=["raw", "typed"])
def test_neither_does_a_shape_by_grpc(door: Gateway, triton: Triton, shape: list[int], typed: bool) -> None:
    request = service_pb2.ModelInferRequest(model_name="measurements")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=shape)
    if typed:
        tensor.contents.fp32_contents.extend(ROW)
    else:
        request.raw_input_contents.append(b"\0" * 4 * COLUMNS)
    metadata = (("authorization", f"Bearer {door.keys.primary}"),)
    with (
        grpc.insecure_channel(f"127.0.0.1:{door.options.listen.port}") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=metadata, timeout=20)
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
    assert serves(door)
    assert triton.process.poll() is None


def test_what_triton_says_of_a_model_stays_as_it_is(door: Gateway) -> None:
    assert door.ask("POST", "/v2/models/nowhere/infer", attacks.inference("x", [1, COLUMNS], ROW)).status == 404
    answer = door.ask("POST", f"{PATH}/infer", attacks.inference("y", [1, COLUMNS], ROW))
    assert answer.status == 400
    assert answer.json()["error"].startswith("unexpected inference input 'y'")
