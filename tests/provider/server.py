"""The provider's server as a process of its own, asked over gRPC, with an engine that records what it logs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from engine.providers.proto import CHANNEL_OPTIONS

PROJECT = Path(__file__).resolve().parents[2]
THINGS = ("-m", "tests.provider.things")
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"


def secret(value: Any) -> dict[str, Any]:
    """A secret as it is on the wire."""
    return {_SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": value}


def urn(name: str) -> str:
    """The URN of a resource of the type `name`."""
    return f"urn:pulumi:test::triton-serving::triton:index:Group$triton:index:{name}::r"


class Engine(engine_pb2_grpc.EngineServicer):
    """An engine that keeps what providers log."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, str]] = []

    def Log(self, request: Any, context: Any) -> Any:
        self.logged.append((request.urn, request.message))
        return empty_pb2.Empty()


class Server:
    """A running provider; `ask` is the stub of its protocol, the methods take and give plain properties."""

    def __init__(self, port: int, engine: Engine) -> None:
        self.ask = provider_pb2_grpc.ResourceProviderStub(
            grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
        )
        self.engine = engine

    def check(self, name: str, news: dict[str, Any]) -> dict[str, str]:
        """The reasons against new inputs, by property path."""
        answer = self.ask.Check(provider_pb2.CheckRequest(urn=urn(name), news=_struct(news)))
        assert _plain(answer.inputs) == news
        return {failure.property: failure.reason for failure in answer.failures}

    def diff(self, name: str, inputs: dict[str, Any], outputs: dict[str, Any], news: dict[str, Any]) -> Any:
        """The answer to what an update to `news` changes."""
        return self.ask.Diff(
            provider_pb2.DiffRequest(
                id="r",
                urn=urn(name),
                olds=_struct({**inputs, **outputs}),
                old_inputs=_struct(inputs),
                news=_struct(news),
            )
        )

    def create(self, name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id and the properties of a new resource."""
        answer = self.ask.Create(provider_pb2.CreateRequest(urn=urn(name), properties=_struct(inputs)))
        return answer.id, _plain(answer.properties)

    def update(
        self, name: str, inputs: dict[str, Any], outputs: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        """The properties of a changed resource."""
        answer = self.ask.Update(
            provider_pb2.UpdateRequest(
                id="r",
                urn=urn(name),
                olds=_struct({**inputs, **outputs}),
                old_inputs=_struct(inputs),
                news=_struct(news),
            )
        )
        return _plain(answer.properties)

    def read(self, name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        """The properties of a measured resource."""
        answer = self.ask.Read(
            provider_pb2.ReadRequest(
                id="r", urn=urn(name), properties=_struct({**inputs, **outputs}), inputs=_struct(inputs)
            )
        )
        assert (answer.id, _plain(answer.inputs)) == ("r", inputs)
        return _plain(answer.properties)

    def delete(self, name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Remove a resource."""
        self.ask.Delete(
            provider_pb2.DeleteRequest(
                id="r", urn=urn(name), properties=_struct({**inputs, **outputs}), old_inputs=_struct(inputs)
            )
        )


@contextmanager
def serving(program: tuple[str, ...] = ("provider",)) -> Iterator[Server]:
    """The provider, started as an engine starts it: with the engine's address, and known by the port that it prints."""
    engine = Engine()
    listening = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, listening)
    address = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"
    listening.start()
    process = subprocess.Popen(
        [sys.executable, *program, address], cwd=PROJECT, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()), engine)
    finally:
        process.terminate()
        process.wait(30)
        listening.stop(None)


def told(error: grpc.RpcError) -> str:
    """The words that the engine gets of a failed request."""
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.UNKNOWN
    words = error.details()
    assert words is not None
    return words


def half_made(error: grpc.RpcError) -> tuple[Any, dict[str, Any]]:
    """What a failed request says of the resource that exists all the same, and its properties."""
    assert isinstance(error, grpc.Call)
    (value,) = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    status = status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
    (detail,) = status.details
    failure = provider_pb2.ErrorResourceInitFailed()
    assert detail.Unpack(failure)
    return failure, _plain(failure.properties)


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def _plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json_format.MessageToJson(struct))
    return plain
