"""The client for asynchronous scripts, against a real Triton; and `localhost:8000`, which means the script's own."""

import asyncio
import json
import socket
from collections.abc import Mapping

import numpy as np
import pytest

from serving.triton import redirect
from serving.triton.client import Triton, TritonError
from targets.machine.ports import free_ports
from tests.serving.conftest import StartServer
from tests.serving.servers import PROJECT, Server

MIRROR = {
    "text": np.array(["é", b"\xff\x00", ""], dtype=np.object_),
    "half": np.array([[1.5, -2.0], [0.0, np.inf]], dtype=np.float16),
    "flag": np.array([True, False]),
    "big": np.array([2**64 - 1], dtype=">u8"),
}


def test_tensors_of_all_kinds_arrive_and_come_back(triton: Server) -> None:
    outputs = asyncio.run(Triton(triton.url).infer("mirror", MIRROR))

    assert outputs["text"].tolist() == ["é".encode(), b"\xff\x00", b""]
    assert outputs["half"].tolist() == MIRROR["half"].tolist()
    assert outputs["flag"].tolist() == [True, False]
    assert outputs["big"].tolist() == [2**64 - 1]


def test_a_golden_inference_comes_out_right(triton: Server) -> None:
    golden = json.loads((PROJECT / "model_repository" / "triton" / "digits" / "golden.json").read_text())
    (image,) = golden["request"]["inputs"]
    tensor = np.array(image["data"], dtype=np.float32).reshape(image["shape"])

    outputs = asyncio.run(Triton(triton.url).infer("digits", {"image": tensor}, version=1))

    for expected in golden["response"]["outputs"]:
        assert outputs[expected["name"]].ravel() == pytest.approx(expected["data"], rel=1e-4, abs=1e-5)


def test_only_the_outputs_that_were_asked_for_come_back(triton: Server) -> None:
    outputs = asyncio.run(Triton(triton.url).infer("mirror", MIRROR, outputs=["flag"]))

    assert list(outputs) == ["flag"]


def test_tritons_refusal_has_its_words(triton: Server) -> None:
    with pytest.raises(TritonError, match="unknown model: 'nothing'") as refusal:
        asyncio.run(Triton(triton.url).infer("nothing", {"value": [1]}))

    assert refusal.value.status == 404


@pytest.mark.parametrize("value", [np.array([1 + 2j]), np.array([object()])], ids=["complex", "object"])
def test_an_array_that_triton_cannot_take_is_refused(value: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
    with pytest.raises(ValueError, match="Input 'value'"):
        asyncio.run(Triton("http://localhost:1").infer("echo", {"value": value}))


@pytest.mark.parametrize("url", ["localhost:8000", "https://localhost:8000", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected Triton's URL, such as http://localhost:8000"):
        Triton(url)


def test_a_triton_that_is_not_there_is_a_connection_error() -> None:
    with pytest.raises(ConnectionError, match="cannot be reached"):
        asyncio.run(Triton(f"http://127.0.0.1:{free_ports(1)[0]}").infer("echo", {"value": [1]}))


def answer_with(content: bytes, *, timeout: float = 5) -> None:
    """Infer at a server that answers with these bytes, and then closes the connection; with none, it never answers."""

    async def infer() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if not content:
                await asyncio.sleep(10)
            writer.write(content)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await Triton(f"http://127.0.0.1:{port}", timeout=timeout).infer("echo", {"value": [1]})

    asyncio.run(infer())


def test_a_triton_that_is_silent_is_a_timeout() -> None:
    with pytest.raises(TimeoutError, match=r"did not answer in 0\.2 s"):
        answer_with(b"", timeout=0.2)


@pytest.mark.parametrize("content", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"SSH-2.0\r\n", b"\r\n"])
def test_half_an_answer_is_a_connection_error(content: bytes) -> None:
    with pytest.raises(ConnectionError):
        answer_with(content)


def test_an_answer_that_is_no_inference_is_tritons_error() -> None:
    with pytest.raises(TritonError, match="cannot be read"):
        answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<html>oops")


def test_a_late_answer_finds_nobody(triton: Server) -> None:
    async def ask() -> list[int]:
        client = Triton(triton.url)
        for value in range(20):
            task = asyncio.ensure_future(client.infer("echo", {"value": [value]}))
            await asyncio.sleep(0.0005 * (value % 4))
            task.cancel()
        await asyncio.gather(*(client.infer("echo", {"value": [0]}) for _ in range(4)))
        outputs = await asyncio.gather(*(client.infer("echo", {"value": [value]}) for value in range(50)))
        return [int(output["value"][0]) for output in outputs]

    assert asyncio.run(ask()) == list(range(50))


REDIRECTED: Mapping[int, int] = {8000: 18000, 8001: 18001}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("localhost", 8000), ("localhost", 18000)),
        (("127.0.0.1", 8001), ("127.0.0.1", 18001)),
        (("127.1.2.3", 8000), ("127.1.2.3", 18000)),
        (("::1", 8000, 0, 0), ("::1", 18000, 0, 0)),
        ((b"LOCALHOST", 8000), (b"LOCALHOST", 18000)),
        (("127.0.0.1", 8002), ("127.0.0.1", 8002)),
        (("10.0.0.1", 8000), ("10.0.0.1", 8000)),
        (("localhost.example", 8000), ("localhost.example", 8000)),
        ("/run/socket", "/run/socket"),
    ],
)
def test_only_tritons_ports_of_loopback_are_redirected(address: object, expected: object) -> None:
    assert redirect.redirect_address(address, REDIRECTED) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("localhost:8001", "localhost:18001"),
        ("dns:///localhost:8001", "dns:///localhost:18001"),
        ("ipv4:127.0.0.1:8001", "ipv4:127.0.0.1:18001"),
        ("[::1]:8001", "[::1]:18001"),
        ("example.com:8001", "example.com:8001"),
        ("unix:/run/socket", "unix:/run/socket"),
    ],
)
def test_grpc_targets_are_redirected_alike(target: str, expected: str) -> None:
    assert redirect.redirect_target(target, REDIRECTED) == expected


BLOCKING = """
import socket
import urllib.request
import tritonclient.http as triton

def init():
    assert triton.InferenceServerClient("localhost:8000").is_server_live()
    assert urllib.request.urlopen("http://127.0.0.1:8000/v2/health/live").status == 200
    socket.create_connection(("localhost", 8000)).close()

def run(data):
    return 1
"""
ASYNCHRONOUS = """
import asyncio
import aiohttp
from serving.triton.client import Triton

async def init():
    _, writer = await asyncio.open_connection("localhost", 8000)
    writer.close()
    async with aiohttp.ClientSession() as session, session.get("http://localhost:8000/v2/health/live") as answer:
        assert answer.status == 200
    await Triton("http://localhost:8000").infer("echo", {"value": [1]})

async def run(data):
    return 1
"""


@pytest.mark.parametrize("source", [BLOCKING, ASYNCHRONOUS], ids=["synchronous", "asynchronous"])
def test_every_way_to_connect_to_localhost_8000_leads_to_the_scripts_triton(
    source: str, start: StartServer, triton: Server
) -> None:
    server = start(source, variables={"TRITON_HTTP_PORT": str(triton.port)})

    assert server.score().json() == 1


def test_a_script_without_triton_connects_where_it_says(start: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        source = f"""
        import socket

        def init():
            socket.create_connection(("localhost", {port})).close()

        def run(data):
            return 1
        """
        assert start(source, variables={"TRITON_HTTP_PORT": "9", "TRITON_WAIT_SECONDS": "0"}).score().json() == 1
