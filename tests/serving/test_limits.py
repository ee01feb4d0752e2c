"""Limits: time, size, number, and clients that do not speak HTTP as they should."""

import http.client
import json
import socket
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from environment.venv import BuiltEnvironment
from serving.http.http1 import RequestParser
from tests.serving.conftest import StartServer, start_in
from tests.serving.servers import Server
from tests.waiting import eventually

WAIT = """
import json
import time

def init():
    pass

def run(data):
    time.sleep(json.loads(data or "0"))
    return "done"
"""
WAIT_ASYNC = """
import asyncio
import json

async def init():
    pass

async def run(data):
    await asyncio.sleep(json.loads(data or "0"))
    return "done"
"""
COMPUTE = WAIT.replace(
    'time.sleep(json.loads(data or "0"))',
    "until = time.monotonic() + json.loads(data)\n    while time.monotonic() < until: sum(range(1000))",
)

# A run() that sleeps lets others run.
ALWAYS = {"CONCURRENT_RUNS": "always"}

kinds = pytest.mark.parametrize("source", [WAIT, WAIT_ASYNC], ids=["synchronous", "asynchronous"])


@pytest.fixture(scope="module", params=[WAIT, WAIT_ASYNC], ids=["synchronous", "asynchronous"])
def server(
    request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start a server with the default limits."""
    with ExitStack() as stack:
        yield start_in(stack, script_environment.python, tmp_path_factory.mktemp("limits"), request.param)


def exchange(server: Server, content: bytes) -> bytes:
    """Send bytes, and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(content)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


@pytest.mark.parametrize(
    "source",
    [WAIT, WAIT_ASYNC, COMPUTE, COMPUTE.replace("def ", "async def ")],
    ids=["waiting", "asynchronous", "computing", "asynchronous, computing"],
)
def test_a_run_that_takes_too_long_is_stopped(source: str, start: StartServer) -> None:
    server = start(source, variables={"SCORING_TIMEOUT_MS": "400"})

    started = time.monotonic()
    answer = server.score("5")

    assert time.monotonic() - started < 2
    assert answer.status_code == 500
    assert answer.json() == {"message": "Scoring timeout after 400 ms"}
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert server.metric("serving_run_timeouts_total") == 1
    assert server.score("0").json() == "done"


@kinds
def test_more_requests_than_allowed_are_told_to_come_back(source: str, start: StartServer) -> None:
    server = start(source, variables={"MAX_CONCURRENT_REQUESTS": "3", "WORKER_COUNT": "2", **ALWAYS})
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(server.score, "1.5") for _ in range(3)]
        eventually(lambda: server.metric("serving_requests_in_flight") == 3, "the runs")

        refused = server.score("0")

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert "answering 3 requests already" in refused.json()["message"]
        assert server.get("/").status_code == 200
        assert [run.result().status_code for run in runs] == [200] * 3


def test_a_queue_in_front_of_computing_workers_is_bounded_too(start: StartServer) -> None:
    server = start(COMPUTE, variables={"MAX_CONCURRENT_REQUESTS": "3"})
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(server.score, ["0.5"] * 8))

    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert statuses.count(200) >= 3
    assert set(statuses) == {200, 429}


@kinds
def test_a_body_that_is_too_large_is_refused_before_it_is_read(source: str, start: StartServer) -> None:
    server = start(source, variables={"MAX_REQUEST_BYTES": "1000"})

    assert server.score(b"0" * 1001).status_code == 413
    chunk = b"258\r\n" + b"0" * 600 + b"\r\n"
    for offer in (b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"):
        head = b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n" % offer
        received = exchange(server, head + chunk + chunk)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b"must not exceed 1000 bytes" in received
    assert server.score(b" " * 999 + b"0").json() == "done"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nx: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET /score?a=" + b"[" * 30000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"POST /score HTTP/1.0\r\n\r\n", 200),
        (b"POST /score HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n0", 200),
        (b"POST /score HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n", 200),
        (b"POST /score HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n0", 200),
    ],
    ids=["nonsense", "length", "two lengths", "headers", "deep JSON", "version 1.0", "close", "chunked", "upgrade"],
)
def test_http_is_understood_or_refused(content: bytes, status: int, server: Server) -> None:

    assert exchange(server, content).startswith(b"HTTP/1.1 %d " % status)


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    requests = b"".join(
        b"POST /score HTTP/1.1\r\nx-request-id: %d\r\nContent-Length: 3\r\n\r\n0.%d" % (number, 9 - number)
        for number in (7, 8, 9)
    )

    received = exchange(server, requests + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").decode()

    ids = [line.rpartition(" ")[2] for line in received.splitlines() if line.startswith("x-request-id: ")]
    assert ids[:3] == ["7", "8", "9"]
    assert received.endswith("Healthy")


def test_a_great_many_pipelined_requests_are_no_large_header(server: Server) -> None:
    one = b"POST /score HTTP/1.1\r\nContent-Length: 1\r\n\r\n0"

    received = exchange(server, one * 2500 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")

    assert received.count(b"HTTP/1.1 200 OK") == 2501


def test_trailers_are_no_headers_and_have_a_limit(server: Server) -> None:
    head = b"POST /score HTTP/1.1\r\nx-request-id: real\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert b"x-request-id: real\r\n" in exchange(server, head + b"1\r\n0\r\n0\r\nx-request-id: other\r\n\r\n")
    many = b"".join(b"x-%d: %s\r\n" % (number, b"a" * 1000) for number in range(100))
    assert exchange(server, head + b"1\r\n0\r\n0\r\n" + many).startswith(b"HTTP/1.1 431 ")


def test_a_body_in_tiny_chunks_takes_its_own_memory_and_little_more() -> None:
    parser = RequestParser(10_000_000)
    parser.feed(b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    tracemalloc.start()
    for _ in range(200):
        parser.feed(b"2\r\nab\r\n" * 1000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parser.feed(b"0\r\n\r\n")

    assert parser.requests[0].body == b"ab" * 200_000
    assert held < 3 * 400_000


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_gets_none(status: int, start: StartServer) -> None:
    source = f"""
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        return AMLResponse("no body", {status})
    """
    server = start(source)

    received = exchange(server, b"POST /score HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in received


@kinds
def test_whatever_run_raises_is_answered_and_frees_its_place(source: str, start: StartServer) -> None:
    raising = source.replace('return "done"', 'raise type("Panic", (BaseException,), {})("at the disco")')
    server = start(raising, variables={"MAX_CONCURRENT_REQUESTS": "1"})

    assert [server.score("0").status_code for _ in range(3)] == [500] * 3
    assert server.metric("serving_requests_in_flight") == 0
    assert "at the disco" in server.stdout


FAILING = """
class Mute(RuntimeError):
    def __str__(self):
        raise KeyError("no message")

"""


@kinds
@pytest.mark.parametrize(
    ("base", "statement", "status", "message"),
    [
        ("RuntimeError", "raise Mute", 500, "An unexpected error occurred in scoring script."),
        ("ValueError", "raise Mute", 500, "An unexpected error occurred in scoring script."),
        ("", "raise ValueError('unknown label ' + json.loads(data))", 400, "unknown label \ud800"),
        ("", "raise RuntimeError('unknown label ' + json.loads(data))", 500, "An unexpected error occurred"),
    ],
    ids=["no message", "a ValueError without a message", "half a character", "half a character, no ValueError"],
)
def test_a_failure_that_is_hard_to_tell_is_answered(
    source: str, base: str, statement: str, status: int, message: str, start: StartServer
) -> None:
    imports, _, functions = source.partition('json.loads(data or "0")')
    failing = FAILING.replace("RuntimeError", base or "RuntimeError") + imports + "0" + functions
    server = start(failing.replace('return "done"', statement))

    answer = server.score(r'"\ud800"')

    assert answer.status_code == status
    assert message in json.loads(answer.content)["message"]
    assert server.metric("serving_run_failures_total") == (status == 500)
    assert "Logging error" not in server.stderr
    if not base:
        assert r"unknown label \ud800" in server.stdout


@kinds
def test_a_slow_upload_is_no_silence(source: str, start: StartServer) -> None:
    server = start(source, variables={"KEEP_ALIVE": "1"})
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 12\r\n\r\n0")
        for _ in range(11):
            time.sleep(0.3)  # a client at its own pace
            connection.sendall(b" ")

        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_expects_a_hundred_gets_it(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"0")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "source", [COMPUTE, COMPUTE.replace("def ", "async def ")], ids=["synchronous", "asynchronous"]
)
def test_connections_take_turns_though_one_always_has_a_request_waiting(source: str, start: StartServer) -> None:
    server = start(source)
    request = b"POST /score HTTP/1.1\r\nContent-Length: 4\r\n\r\n0.05"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as greedy:
        greedy.sendall(request * 40)
        assert greedy.recv(1)
        started = time.monotonic()

        assert server.score("0").json() == "done"

        assert time.monotonic() - started < 1, "the other connection's 2 s of work were not to come first"


@kinds
def test_silent_connections_are_closed_and_others_kept(source: str, start: StartServer) -> None:
    server = start(source, variables={"KEEP_ALIVE": "2"})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for content in ("0", "2.5", "0"):
        connection.request("POST", "/score", content)
        assert connection.getresponse().read() == b'"done"'
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as never,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as half,
    ):
        half.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 100\r\n\r\n0")

        assert never.recv(1) == half.recv(1) == connection.sock.recv(1) == b""


@kinds
def test_a_large_answer_to_a_slow_reader_arrives_whole(source: str, start: StartServer) -> None:
    large = source.replace('return "done"', 'return "a" * 20_000_000')
    server = start(large)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n0")
        assert server.score("0").status_code == 200  # the slow one holds up nobody
        received = 0
        while part := connection.recv(1 << 20):
            received += len(part)

    assert received > 20_000_000


def slow_reader(server: Server, requests: int = 1) -> socket.socket:
    """Open a connection with little room for answers, and ask for some."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 1\r\n\r\n0" * requests)
    return connection


def read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(1 << 20):
        pass


@kinds
def test_a_client_that_does_not_read_is_given_up_and_a_slow_one_served(source: str, start: StartServer) -> None:
    server = start(source.replace('return "done"', 'return "a" * 20_000_000'), variables={"KEEP_ALIVE": "2"})
    with slow_reader(server) as never, slow_reader(server, 3) as neither, slow_reader(server) as slow:
        received = 0
        until = time.monotonic() + 8
        while time.monotonic() < until:
            time.sleep(0.2)  # a client at its own pace
            received += len(slow.recv(2000))
        assert received > 10_000
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        while received < 20_000_000:
            part = slow.recv(1 << 20)
            assert part, "the slow client was cut off"
            received += len(part)
        eventually(lambda: server.metric("serving_connections") <= 1, "the end of those that do not read")
        for connection in (never, neither):
            with pytest.raises(ConnectionResetError):
                read_to_the_end(connection)

    assert server.score("0").status_code == 200


def test_a_client_that_leaves_disturbs_nobody(server: Server) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 3\r\n\r\n0.2")
    eventually(lambda: server.metric("serving_requests_in_flight") == 0, "the runs' end")

    assert server.score("0").json() == "done"
    assert "Traceback" not in server.stderr
