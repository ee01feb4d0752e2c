"""gRPC through the front door: Triton's inference service, and none of the calls that change the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from gateway.front_door_options import Triton, Upstreams, loopback
from tests.gateway.conftest import Gateway, Upstream, running

SERVICE = "/inference.GRPCInferenceService/"
NOT_SERVED = [
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
    "modelInfer",
    "ModelInfer/",
]


class _Triton(grpc.GenericRpcHandler):
    """Answers every call with its method and the size of what was sent, and remembers the methods."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method
        self.called.append(method)

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if request == b"wait":
                threading.Event().wait(3)
            return f"{method} {len(request)}".encode()

        def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            for request in requests:
                yield answer(request, context)

        if method.endswith("Stream" + "Infer"):
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def triton() -> Iterator[tuple[_Triton, int]]:
    handler = _Triton()
    server = grpc.server(ThreadPoolExecutor(8), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, port
    server.stop(0).wait(5)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, triton: tuple[_Triton, int], echo: Upstream) -> Iterator[Gateway]:
    upstreams = Upstreams(Triton(http=echo.address, grpc=loopback(triton[1]), metrics=echo.address))
    settings = {"timeout_seconds": 1, "max_request_bytes": 100_000}
    with running(tmp_path_factory.mktemp("grpc"), upstreams, **settings) as gateway:
        yield gateway


@pytest.fixture
def channel(behind: Gateway) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{behind.options.listen.port}") as opened:
        yield opened


def key_of(gateway: Gateway) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {gateway.keys.secondary}")]


@pytest.mark.parametrize("method", ["ServerReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "ModelInfer"])
def test_health_metadata_and_inference_pass(behind: Gateway, channel: grpc.Channel, method: str) -> None:
    call = channel.unary_unary(SERVICE + method)
    assert call(b"x" * 1000, metadata=key_of(behind), timeout=10) == f"{SERVICE}{method} 1000".encode()


def test_a_stream_of_inferences_outlasts_the_timeout(behind: Gateway, channel: grpc.Channel) -> None:
    go_on = threading.Semaphore(0)

    def requests() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * 50_000
            assert go_on.acquire(timeout=10)
            threading.Event().wait(0.4)

    answers = channel.stream_stream(SERVICE + "ModelStreamInfer")(requests(), metadata=key_of(behind), timeout=10)
    for _ in range(4):
        assert next(answers) == f"{SERVICE}ModelStreamInfer 50000".encode()
        go_on.release()
    with pytest.raises(StopIteration):
        next(answers)


@pytest.mark.parametrize("method", NOT_SERVED)
def test_calls_that_change_the_server_are_unimplemented(
    behind: Gateway, channel: grpc.Channel, triton: tuple[_Triton, int], method: str
) -> None:
    before = len(triton[0].called)
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(SERVICE + method)(b"", metadata=key_of(behind), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert len(triton[0].called) == before


def test_without_a_key_a_call_is_unauthenticated_and_told_what_to_send(channel: grpc.Channel) -> None:
    for metadata in ([], [("authorization", "Bearer wrong-key-wrong-key")]):
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(SERVICE + "ServerReady")(b"", metadata=metadata, timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "Authorization: Bearer <key>" in refused.value.details()


def test_a_message_above_the_limit_is_refused(behind: Gateway, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(SERVICE + "ModelInfer")(b"x" * 200_000, metadata=key_of(behind), timeout=10)
    assert "the request body is larger than the limit of 100000 bytes" in refused.value.details()


def test_a_slow_call_ends_at_the_timeout(behind: Gateway, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(SERVICE + "ModelInfer")(b"wait", metadata=key_of(behind), timeout=10)
    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert "no answer within the limit of 1 seconds" in refused.value.details()


def test_a_message_of_a_stream_is_bounded_and_the_stream_is_not(behind: Gateway, channel: grpc.Channel) -> None:
    call = channel.stream_stream(f"{SERVICE}ModelStreamInfer")
    metadata = (("authorization", f"Bearer {behind.keys.primary}"),)
    sizes = [0, 1, 99_999, 100_000, *range(1, 400, 7), 100_000, 100_000]
    answers = [answer.split()[-1] for answer in call((b"x" * size for size in sizes), metadata=metadata, timeout=20)]
    assert answers == [str(size).encode() for size in sizes]
    for before in ([], [5], [70_000, 3]):
        stream = call((b"x" * size for size in [*before, 100_001, 5]), metadata=metadata, timeout=20)
        answers = []
        with pytest.raises(grpc.RpcError) as refused:
            answers.extend(stream)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.details() == "a message is larger than the limit of 100000 bytes"


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer", "ServerReady"])
def test_compressed_messages_are_refused_in_grpcs_words(behind: Gateway, channel: grpc.Channel, method: str) -> None:
    metadata = (("authorization", f"Bearer {behind.keys.primary}"),)
    call = channel.stream_stream(f"{SERVICE}{method}")
    with pytest.raises(grpc.RpcError) as refused:
        list(call(iter([b"x" * 1000]), metadata=metadata, timeout=20, compression=grpc.Compression.Gzip))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "send them without compression" in refused.value.details()
