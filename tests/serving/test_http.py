"""HTTP/1.1 as clients speak it: the server understands and answers unusual requests too."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from environment.venv import BuiltEnvironment
from tests.serving.conftest import StartServer, start_in
from tests.serving.servers import Server

ECHO = """
import json

def init():
    pass

def run(data, request_headers):
    return {"data": data, "upgrade": request_headers.get("Upgrade")}
"""
H2C = b"Connection: Upgrade, HTTP2-Settings%s\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.fixture(
    scope="module", params=[ECHO, ECHO.replace("def run", "async def run")], ids=["synchronous", "asynchronous"]
)
def server(
    request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start a server whose script answers with its arguments."""
    with ExitStack() as stack:
        yield start_in(stack, script_environment.python, tmp_path_factory.mktemp("http"), request.param)


def post(body: bytes, headers: bytes = b"") -> bytes:
    return b"POST /score HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), headers, body)


def answers(received: bytes) -> list[dict[str, object]]:
    """Read the bodies of the answers in these bytes."""
    parts = received.split(b"HTTP/1.1 200 OK\r\n")
    assert parts[0] == b"", received
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in parts[1:]]


def exchange(server: Server, *parts: bytes) -> bytes:
    """Send bytes in parts, and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


CHUNKED = b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"
LAST = post(b"last", b"Connection: close\r\n")


@pytest.mark.parametrize(
    "content",
    [post(b"[1,2]", H2C % b""), CHUNKED % (H2C % b"")],
    ids=["of a known length", "in chunks"],
)
@pytest.mark.parametrize("size", [1, 30, 10_000])
def test_a_request_that_offers_another_protocol_is_answered_with_its_body(
    content: bytes, size: int, server: Server
) -> None:
    everything = content + LAST

    received = exchange(server, *(everything[start : start + size] for start in range(0, len(everything), size)))

    assert answers(received) == [{"data": "[1,2]", "upgrade": "h2c"}, {"data": "last", "upgrade": None}]


def test_white_space_behind_a_value_is_no_part_of_it(server: Server) -> None:
    received = exchange(server, post(b"1", b"x-request-id: a \t\r\nConnection: close \r\n"))

    assert b"\r\nx-request-id: a\r\n" in received


def test_a_form_in_chunks_reaches_a_script_that_reads_it(start: StartServer) -> None:
    server = start("""
    from azureml.contrib.services.aml_request import rawhttp

    def init():
        pass

    @rawhttp
    def run(request):
        return request.form
    """)
    head = b"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"

    received = exchange(server, CHUNKED.replace(b"[1", b"a=") % head)

    assert answers(received) == [{"a": ",2]"}]


def test_many_offers_in_a_row_are_answered_each(server: Server) -> None:
    received = exchange(server, post(b"1", H2C % b"") * 1200 + post(b"2", H2C % b", close"))

    assert received.count(b"HTTP/1.1 200 OK") == 1201
    assert b"Connection: close" in received[received.rindex(b"HTTP/1.1 200 OK") :]


def test_a_client_that_sends_nothing_more_still_gets_its_answers(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(post(b"1") + post(b"2") + post(b"half")[:-2])
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part

    assert [answer["data"] for answer in answers(received)] == ["1", "2"]
