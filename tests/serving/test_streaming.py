"""Answers in parts: both kinds of worker send them as they come, and end the answer when they do not come."""

import http.client
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import httpx
import pytest

from environment.venv import BuiltEnvironment
from tests.serving.conftest import StartServer, start_in
from tests.serving.servers import HTTP, Server
from tests.serving.test_collection import records
from tests.waiting import eventually

# Asked for `a,b,c`, it gives one part for each, once there is a file of that name; some names mean something else.
SYNCHRONOUS = """
import os
import time
from azureml.contrib.services.aml_response import AMLResponse

def init():
    pass

def parts(names):
    try:
        for name in names:
            if name == "raise":
                raise RuntimeError("a detail of the inside")
            if name == "number":
                yield 5
            if name == "megabytes":
                for _ in range(200):
                    yield b"x" * 100_000
            if name == "pause":
                time.sleep(0.25)
            while name not in ("now", "pause") and not os.path.exists(name):
                time.sleep(0.002)
            yield ""  # is no part
            yield name
    finally:
        print("closed after", name)

def run(data):
    status, _, names = data.partition(" ")
    return AMLResponse(parts(names.split(",")), int(status), {"Content-Type": "text/event-stream"})
"""
GENERATOR_IN_ASYNC = SYNCHRONOUS.replace("def run", "async def run")
ASYNCHRONOUS = (
    GENERATOR_IN_ASYNC.replace("def parts", "async def parts")
    .replace("import time", "import asyncio")
    .replace("time.sleep", "await asyncio.sleep")
)
KINDS = {"synchronous": SYNCHRONOUS, "asynchronous": ASYNCHRONOUS, "generator in asynchronous": GENERATOR_IN_ASYNC}
LIMIT_MS = 700


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    variables = {"SCORING_TIMEOUT_MS": str(LIMIT_MS)}
    folder = tmp_path_factory.mktemp("parts")
    with ExitStack() as stack:
        yield start_in(stack, script_environment.python, folder, KINDS[request.param], variables=variables)


@contextmanager
def ask(server: Server, names: str, status: int = 200) -> Iterator[httpx.Response]:
    with HTTP.stream("POST", server.url + "/score", content=f"{status} {names}") as answer:
        yield answer


def let(server: Server, name: str) -> None:
    (server.folder / name).touch()


def raw(server: Server, head: str, body: str) -> socket.socket:
    """Open a connection, and send a request."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(f"{head}\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def test_each_part_is_sent_when_it_comes(server: Server) -> None:
    let(server, "p1")
    with ask(server, "p1,p2,p3", status=203) as answer:
        parts = answer.iter_text()
        assert next(parts) == "p1"
        let(server, "p2")
        assert next(parts) == "p2"
        let(server, "p3")
        assert "".join(parts) == "p3"

    assert answer.status_code == 203
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0
    assert "content-length" not in answer.headers


def test_the_time_limit_bounds_the_silence_between_parts(server: Server) -> None:
    received: list[str] = []
    with ask(server, "pause,pause,pause,pause,never") as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_text())

    assert "".join(received) == "pause" * 4  # which took longer than the limit
    assert (
        f"The answer was broken off after 4 parts: no part came within SCORING_TIMEOUT_MS, {LIMIT_MS}" in server.stdout
    )


@pytest.mark.parametrize(("names", "reason"), [("now,raise", "a detail of the inside"), ("now,number", "TypeError")])
def test_an_answer_that_fails_between_parts_is_broken_off(server: Server, names: str, reason: str) -> None:
    failures = server.metric("serving_run_failures_total")
    with ask(server, names) as answer:
        parts = answer.iter_text()
        assert next(parts) == "now"
        with pytest.raises(httpx.RemoteProtocolError):
            next(parts)

    assert server.metric("serving_run_failures_total") == failures + 1
    assert "The answer was broken off after 1 parts: Traceback" in server.stdout
    assert reason in server.stdout


@pytest.mark.parametrize(("names", "message"), [("raise", "unexpected error"), ("never", "Scoring timeout after 700")])
def test_what_fails_before_the_first_part_is_a_500(server: Server, names: str, message: str) -> None:
    answer = server.score(f"200 {names}")

    assert (answer.status_code, answer.headers["x-ms-run-function-failed"]) == (500, "True")
    assert message in answer.json()["message"]


def test_the_connection_goes_on_after_the_last_part(server: Server) -> None:
    with raw(server, "POST /score HTTP/1.1", "200 now,now") as connection:
        for _ in range(2):
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.read() == b"nownow"
            connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 11\r\n\r\n200 now,now")


def test_a_client_of_http_1_0_reads_until_the_end(server: Server) -> None:
    with raw(server, "POST /score HTTP/1.0\r\nConnection: keep-alive", "200 now,now") as connection:
        received = b"".join(iter(partial(connection.recv, 65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")

    assert body == b"nownow"
    assert b"transfer-encoding" not in head.lower()


def test_a_client_of_http_1_0_takes_no_broken_answer_for_a_whole_one(server: Server) -> None:
    with raw(server, "POST /score HTTP/1.0", "200 now,raise") as connection, pytest.raises(ConnectionResetError):
        list(iter(partial(connection.recv, 65536), b""))


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_no_parts(server: Server, status: int) -> None:
    with raw(server, "POST /score HTTP/1.1\r\nConnection: close", f"{status} now,now") as connection:
        received = b"".join(iter(partial(connection.recv, 65536), b""))

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.endswith(b"\r\n\r\n")
    assert b"transfer-encoding" not in received.lower()


def test_the_generator_of_a_client_who_leaves_is_closed(server: Server) -> None:
    closed = server.stdout.count("closed after")
    names = ["now", *(f"left{number}" for number in range(200))]
    with raw(server, "POST /score HTTP/1.1", f"200 {','.join(names)}") as connection:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for name in names[1:10]:
        let(server, name)

    eventually(lambda: server.stdout.count("closed after") > closed, "the generator's end")
    eventually(lambda: server.metric("serving_requests_in_flight") == 0, "the request's end")
    assert server.score("200 now").text == "now"


@pytest.mark.parametrize("kind", ["synchronous", "asynchronous"])
def test_a_client_who_takes_nothing_holds_up_nobody_and_is_given_up(kind: str, start: StartServer) -> None:
    server = start(KINDS[kind], variables={"KEEP_ALIVE": "1"})
    with raw(server, "POST /score HTTP/1.1", "200 megabytes,never") as connection:
        eventually(lambda: connection.recv(1, socket.MSG_PEEK), "the first part")
        assert server.score("200 now").text == "now"
        eventually(lambda: "closed after megabytes" in server.stdout, "the end of the generator")
        eventually(lambda: server.metric("serving_requests_in_flight") == 0, "the request's end")


def test_a_head_request_has_no_parts(start: StartServer) -> None:
    server = start(AZURES.replace('json.loads(data)["items"]', '["a"]'))
    with raw(server, "HEAD /score HTTP/1.1\r\nConnection: close", "") as connection:
        received = b"".join(iter(partial(connection.recv, 65536), b""))

    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b"\r\n\r\n")
    assert "azmlinfsrv.print - test" not in server.stdout  # the generator has not begun


def test_the_first_part_is_collected(start: StartServer) -> None:
    server = start(SYNCHRONOUS, variables={"COLLECT_URL": "collected"})
    assert server.score("200 now,now,now").text == "nownownow"

    (record,) = records(server)
    assert (record["input"], record["output"], record["outputBytes"]) == ("200 now,now,now", "now", 3)


# Of azureml-inference-server: tests/azmlinfsrv/resources/streaming-score.py, with shorter sleeps.
AZURES = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
import time, logging, json

def init():
    print("Init complete")

def generate(items):
    for item in items:
        print("test")
        time.sleep(0.2)
        yield 'item: ' + str(item) + '\\n\\n'

@rawhttp
def run(request : AMLRequest):
    logging.info("model 1: request received")
    data = request.data
    print(request.get_data())
    items = json.loads(data)["items"]
    return AMLResponse(generate(items), 200)
"""


def test_azures_own_streaming_test(start: StartServer) -> None:
    server = start(AZURES)
    items = [f"sentence {number}" for number in range(1, 6)]
    with HTTP.stream("POST", server.url + "/score", json={"items": items}) as answer:
        assert list(answer.iter_text()) == [f"item: {item}\n\n" for item in items]

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert re.search(r"POST\s/\w+\s\d{3}\s\d+\.\d{3}ms\sN/A", server.stdout)
