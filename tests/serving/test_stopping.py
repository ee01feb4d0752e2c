"""The end of a server: it finishes the requests under way, refuses late ones, and waits for nobody else."""

import errno
import http.client
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.serving.conftest import StartServer
from tests.serving.servers import Server
from tests.serving.test_lifecycle import SLOW, both
from tests.waiting import eventually


@both
def test_sigterm_finishes_what_is_under_way(source: str, start: StartServer) -> None:
    server = start(source, flags=["--worker_count", "2"], variables={"CONCURRENT_RUNS": "always"})
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    idle.request("POST", "/score", "0")
    idle.getresponse().read()
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(server.score, "1") for _ in range(4)]
        eventually(lambda: server.metric("serving_requests_in_flight") == 4, "the runs")
        started = time.monotonic()

        assert server.stop() == 0

        assert time.monotonic() - started < 5
        assert [run.result().status_code for run in runs] == [200] * 4


def kept_connection(server: Server) -> http.client.HTTPConnection:
    """Open a connection that a worker holds, between two requests."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/score", "0")
    connection.getresponse().read()
    return connection


def is_refused(server: Server) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED


@both
def test_idle_connections_end_at_once_when_the_server_stops(source: str, start: StartServer) -> None:
    server = start(source)
    kept = [kept_connection(server) for _ in range(5)]
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.score, "3")
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")
        server.process.send_signal(signal.SIGTERM)

        assert [connection.sock.recv(1) for connection in kept] == [b""] * 5
        assert not run.done()
        assert run.result().status_code == 200


@both
def test_a_request_that_comes_while_the_server_stops_is_answered(source: str, start: StartServer) -> None:
    # These runs let nobody else read meanwhile.
    waits = "until = time.monotonic() + asked\n    while time.monotonic() < until: pass"
    source = source.replace("time.sleep(asked)", waits).replace("await asyncio.sleep(asked)", "import time; " + waits)
    server = start(source)
    kept = kept_connection(server)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.score, "3")
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(server), "the closed port", 2)
        kept.request("POST", "/score", "0")

        assert not run.done()
        assert kept.getresponse().status == 200
        assert run.result().status_code == 200


def test_a_server_that_is_told_to_stop_while_init_runs_stops(start: StartServer) -> None:
    server = start("import time\ndef init(): time.sleep(60)\ndef run(data): pass", wait=False)
    eventually(lambda: "Invoking user's init function" in server.stdout, "init()")

    started = time.monotonic()
    server.stop()

    assert time.monotonic() - started < 15


def test_what_waits_when_the_server_stops_is_served_or_told_so(start: StartServer) -> None:
    source = SLOW.replace(
        "time.sleep(asked)", "until = time.monotonic() + asked\n    while time.monotonic() < until: pass"
    )
    server = start(source, variables={"GRACEFUL_TIMEOUT": "3"})
    with ThreadPoolExecutor(9) as pool:
        runs = [pool.submit(server.score, "1") for _ in range(9)]
        eventually(lambda: server.metric("serving_connections") >= 6, "the queue")

        assert server.stop() == 0

        statuses = sorted(run.result().status_code for run in runs)
    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert set(statuses) == {200, 503}


def test_a_run_that_outlasts_graceful_timeout_does_not_hold_up_the_stop(start: StartServer) -> None:
    server = start(SLOW, variables={"GRACEFUL_TIMEOUT": "1"})
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.score, "14")
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")
        started = time.monotonic()

        server.stop()

        assert time.monotonic() - started < 6
        assert isinstance(run.exception(), httpx.HTTPError)
