"""Grants over gRPC, where the model's name is in the message: no message leads to a model that is not granted.

The messages go out in frames of our own, cut anywhere, as no gRPC library would send them.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.clients import Client
from gateway.front_door_options import Triton as Addresses
from gateway.front_door_options import Upstreams, loopback
from tests import onnx_models
from tests.gateway.conftest import Gateway, Upstream, running
from tests.triton_server import build_environment, serve
from tests.waiting import eventually

SERVICE = "/inference.GRPCInferenceService/"
CLIENTS = (Client(name="checkout", models=("wine", "wine-2")), Client(name="batch"))
GRANTED = {"wine", "wine-2"}
METHODS = ("ModelInfer", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "ModelStreamInfer")


class _Recorder(grpc.GenericRpcHandler):
    """Takes every call, and keeps the messages that arrived."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            for request in requests:
                self.messages.append(request)
                yield b"%d" % len(request)

        return grpc.stream_stream_rpc_method_handler(stream)


@pytest.fixture(scope="module")
def recorder() -> Iterator[tuple[_Recorder, int]]:
    handler = _Recorder()
    server = grpc.server(ThreadPoolExecutor(8), handlers=[handler], options=[("grpc.max_receive_message_length", -1)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, port
    server.stop(0).wait(5)


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, recorder: tuple[_Recorder, int], echo: Upstream
) -> Iterator[Gateway]:
    upstreams = Upstreams(Addresses(http=echo.address, grpc=loopback(recorder[1]), metrics=echo.address))
    with running(tmp_path_factory.mktemp("grants"), upstreams, clients=CLIENTS, timeout_seconds=10) as gateway:
        yield gateway


@pytest.fixture
def channel(door: Gateway) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{door.options.listen.port}") as opened:
        yield opened


def key_of(door: Gateway, client: str = "checkout") -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {door.client_keys[client].primary}")]


def frame(message: bytes) -> bytes:
    """A message as gRPC sends it."""
    return struct.pack(">BI", 0, len(message)) + message


def varint(value: int, padding: int = 0) -> bytes:
    """A number of protobuf, longer than it need be by some bytes."""
    out = bytearray()
    while value > 127 or padding > 0:
        padding -= value <= 127
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def send(door: Gateway, method: str, parts: list[bytes]) -> None:
    """Send a call over HTTP/2 whose body comes in these parts, a frame each, and wait for its end."""

    def http2(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": SERVICE + method,
        ":authority": "door",
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {door.client_keys['checkout'].primary}",
    }
    block = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in headers.items()
    )
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2(4, 0, 0, b"") + http2(1, 4, 1, block)
    sent += b"".join(http2(0, 0, 1, part) for part in parts if part) + http2(0, 1, 1, b"")
    with socket.create_connection(("127.0.0.1", door.options.listen.port), 10) as connection:
        connection.sendall(sent)
        received = b""
        while True:
            while len(received) < 9 or len(received) < 9 + int.from_bytes(received[:3], "big"):
                more = connection.recv(65536)
                assert more, "the front door closed the connection"
                received += more
            size, kind, flags, stream = int.from_bytes(received[:3], "big"), received[3], received[4], received[8]
            received = received[9 + size :]
            if stream == 1 and (kind == 3 or (kind in (0, 1) and flags & 1)):
                return


def asks_for(message: bytes) -> str | None:
    """The model that Triton would take from a message; None where it would take none."""
    try:
        return str(service_pb2.ModelInferRequest.FromString(message).model_name)
    except DecodeError:
        return None


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """A field, as protobuf could have it and as it should not."""
    number, kind = (
        draw(st.sampled_from([1, 1, 1, 2, 3, 5, 7, 15, 16, 100, 0])),
        draw(st.sampled_from([2, 2, 2, 0, 1, 5, 3])),
    )
    tag = varint(number * 8 + kind, draw(st.sampled_from([0, 0, 0, 1, 4])))
    if kind == 2:
        name = draw(
            st.sampled_from([b"wine", b"wine-2", b"churn", b"", b" ", b"wine wine-2", b"wine\0", b"\x0a\x05churn"])
        )
        return tag + varint(len(name), draw(st.sampled_from([0, 0, 1, 3]))) + name
    content = {0: varint(draw(st.integers(0, 2**63))), 1: b"\x0a" * 8, 5: b"\x0a\x05ch", 3: b"\x0a\x05churn"}
    return tag + content[kind]


@st.composite
def calls(draw: st.DrawFn) -> list[bytes]:
    """A call of a few messages, cut into parts."""
    messages = draw(st.lists(st.lists(fields(), max_size=5).map(b"".join), min_size=1, max_size=3))
    wine = b"\x0a\x04wine" if draw(st.booleans()) else b""
    body = b"".join(frame(wine + message) for message in messages)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=12)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@given(parts=calls(), method=st.sampled_from(METHODS))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_message_names_another_model(
    door: Gateway, recorder: tuple[_Recorder, int], parts: list[bytes], method: str
) -> None:
    recorder[0].messages.clear()
    send(door, method, parts)
    assert {asks_for(message) for message in recorder[0].messages} <= {*GRANTED, None}


def request_of(model: str, size: int = 0) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model, model_version="3", id="x")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    request.outputs.add(name="y")
    request.parameters["a"].int64_param = 1
    request.raw_input_contents.append(b"\x0a\x05churn" * (size // 7))
    return bytes(request.SerializeToString())


@given(
    size=st.sampled_from([0, 100, 20_000]),
    step=st.sampled_from([1, 2, 3, 7, 16_000]),
    model=st.sampled_from(["wine", "wine-2"]),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_granted_message_arrives_as_it_is_however_it_is_cut(
    door: Gateway, recorder: tuple[_Recorder, int], size: int, step: int, model: str
) -> None:
    message = request_of(model, size if step > 100 else size // 100)
    body = frame(message) * 3
    recorder[0].messages.clear()
    send(door, "ModelStreamInfer", [body[at : at + step] for at in range(0, len(body), step)])
    assert recorder[0].messages == [message] * 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "message", [b"", b"\x12\x011", request_of("churn"), b"\x0a\x00"], ids=["empty", "version", "churn", "no name"]
)
def test_another_model_is_permission_denied(
    door: Gateway, channel: grpc.Channel, recorder: tuple[_Recorder, int], method: str, message: bytes
) -> None:
    recorder[0].messages.clear()
    call = channel.stream_stream(SERVICE + method)
    with pytest.raises(grpc.RpcError) as refused:
        list(call(iter([message]), metadata=key_of(door), timeout=10))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    expected = "the client 'checkout' is not granted the model 'churn'" if b"churn" in message else "the m"
    assert expected in refused.value.details()
    assert {asks_for(message) for message in recorder[0].messages} <= {None}


def test_a_stream_ends_at_the_first_message_that_is_not_granted(
    door: Gateway, channel: grpc.Channel, recorder: tuple[_Recorder, int]
) -> None:
    recorder[0].messages.clear()
    messages = [request_of("wine"), request_of("wine-2", 100_000), request_of("churn"), request_of("wine")]
    stream = channel.stream_stream(SERVICE + "ModelStreamInfer")(iter(messages), metadata=key_of(door), timeout=10)
    with pytest.raises(grpc.RpcError) as refused:
        list(stream)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert recorder[0].messages[:2] == messages[:2]
    assert {asks_for(message) for message in recorder[0].messages[2:]} <= {None}


def test_the_access_log_tells_that_the_front_door_refused(door: Gateway, channel: grpc.Channel) -> None:
    asked = (("ModelInfer", "churn"), ("ModelStreamInfer", "churn"), ("ModelInfer", "wine"))
    for number, (method, model) in enumerate(asked):
        metadata = [*key_of(door), ("x-request-id", f"told-{number}")]
        with contextlib.suppress(grpc.RpcError):
            list(channel.stream_stream(SERVICE + method)(iter([request_of(model)]), metadata=metadata, timeout=10))

    def told() -> dict[str, tuple[str, str]]:
        return {line["requestId"]: (line["grpcStatus"], line["reason"]) for line in door.log_lines()}

    refused, answered = ("PERMISSION_DENIED", "lua_response"), ("OK", "via_upstream")
    expected = {"told-0": refused, "told-1": refused, "told-2": answered}
    eventually(lambda: expected.keys() <= told().keys())
    assert {name: line for name, line in told().items() if name in expected} == expected


def test_health_is_everybodys_and_other_clients_ask_for_everything(door: Gateway, channel: grpc.Channel) -> None:
    for method in ("ServerLive", "ServerReady", "ServerMetadata"):
        assert list(channel.stream_stream(SERVICE + method)(iter([b""]), metadata=key_of(door), timeout=10)) == [b"0"]
    metadata = [("authorization", f"Bearer {door.keys.primary}")]
    for sent in (metadata, key_of(door, "batch")):
        for method in METHODS:
            answers = channel.stream_stream(SERVICE + method)(iter([request_of("churn")]), metadata=sent, timeout=10)
            assert len(list(answers)) == 1


def test_a_triton_obeys(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = tmp_path_factory.mktemp("granted")
    for model in ("wine", "churn"):
        onnx_models.save_scaling(bundle / "triton" / model / "1", 2, ("batch", 2))
    with contextlib.ExitStack() as stack:
        triton = stack.enter_context(serve(build_environment(), bundle, tmp_path_factory.mktemp("run")))
        addresses = Addresses(loopback(triton.port), loopback(triton.grpc_port), loopback(triton.metrics_port))
        door = stack.enter_context(running(tmp_path, Upstreams(addresses), clients=CLIENTS))
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{door.options.listen.port}"))
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def request(model: str) -> service_pb2.ModelInferRequest:
            asked = service_pb2.ModelInferRequest(model_name=model)
            asked.inputs.add(name="x", datatype="FP32", shape=[1, 2])
            asked.raw_input_contents.append(struct.pack("2f", 1, 2))
            return asked

        metadata = key_of(door)
        answer = stub.ModelInfer(request("wine"), metadata=metadata, timeout=10)
        assert struct.unpack("2f", answer.raw_output_contents[0]) == (2, 4)
        assert stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="wine"), metadata=metadata, timeout=10).name
        twice = request("wine").SerializeToString() + b"\x0a\x05churn"
        later = channel.unary_unary(SERVICE + "ModelInfer")
        told: list[bytes] = []  # of all models

        def statistics() -> None:
            raw = channel.stream_stream(SERVICE + "ModelStatistics")
            told.extend(raw(iter([b""]), metadata=metadata, timeout=10))

        refusals = (
            lambda: stub.ModelInfer(request("churn"), metadata=metadata, timeout=10),
            lambda: stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="churn"), metadata=metadata, timeout=10),
            lambda: stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), metadata=metadata, timeout=10),
            lambda: list(stub.ModelStreamInfer(iter([request("churn")]), metadata=metadata, timeout=10)),
            lambda: list(
                stub.ModelStreamInfer(iter([request("wine"), request("churn")]), metadata=metadata, timeout=10)
            ),
            statistics,
            lambda: later(twice, metadata=metadata, timeout=10),
        )
        for refusal in refusals:
            with pytest.raises(grpc.RpcError) as refused:
                refusal()
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED, refused.value
        assert told == []
        assert stub.ModelInfer(request("wine"), metadata=metadata, timeout=10)
        assert triton.process.poll() is None
        streamed = list(stub.ModelStreamInfer(iter([request("wine")] * 3), metadata=metadata, timeout=10))
        assert [not answer.error_message for answer in streamed] == [True] * 3
