"""Processes: which survive the death of another, and how the others go on when a worker fails."""

import asyncio
import http.client
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.serving import servers
from tests.serving.backends import slow_triton
from tests.serving.conftest import StartServer
from tests.waiting import eventually

SLOW = """
import json
import os
import time

def init():
    pass

def run(data):
    asked = json.loads(data)
    if asked == "die":
        os._exit(7)
    if asked == "hang":
        while True:
            pass
    time.sleep(asked)
    return os.getpid()
"""
SLOW_ASYNC = """
import asyncio
import json
import os

def init():
    pass

async def run(data):
    asked = json.loads(data)
    if asked == "die":
        os._exit(7)
    await asyncio.sleep(asked)
    return os.getpid()
"""

both = pytest.mark.parametrize("source", [SLOW, SLOW_ASYNC], ids=["synchronous", "asynchronous"])


@both
def test_no_process_outlives_a_killed_master(source: str, start: StartServer) -> None:
    server = start(source, flags=["--worker_count", "2"])
    children = server.children()
    assert len(children) == 3

    server.stop(signal.SIGKILL)

    eventually(lambda: not any(child.is_running() for child in children), "the children's end")


@both
def test_a_worker_that_dies_is_replaced_and_takes_nobody_with_it(source: str, start: StartServer) -> None:
    server = start(source, flags=["--worker_count", "2"])
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(server.score, "1")
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")
        with pytest.raises(httpx.RemoteProtocolError):
            server.score('"die"')

        assert server.get("/").status_code == 200
        assert server.score("0").status_code == 200
        assert other.result().status_code == 200
    eventually(lambda: server.metric("serving_workers") == 2, "the new worker")
    assert server.metric("serving_worker_starts_total") == 3


@pytest.mark.parametrize("code", [3, 4])
def test_a_worker_that_ends_with_an_exit_code_of_gunicorns_is_replaced(code: int, start: StartServer) -> None:
    server = start(SLOW.replace("os._exit(7)", f"os._exit({code})"))
    with pytest.raises(httpx.RemoteProtocolError):
        server.score('"die"')

    eventually(lambda: server.metric("serving_worker_starts_total") == 2, "the new worker")
    assert server.score("0").status_code == 200


def test_a_worker_that_hangs_is_replaced_and_says_where_it_hung(start: StartServer) -> None:
    server = start(SLOW, flags=["--worker_count", "2"], variables={"WORKER_TIMEOUT": "2"})
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(server.score, '"hang"')
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")

        assert server.score("0").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            hung.result()
    eventually(lambda: server.metric("serving_workers") == 2, "the new worker")
    assert "the script blocked its worker here" in server.stderr
    assert "in run" in server.stderr


def test_a_run_that_waits_for_ever_hangs_too(start: StartServer) -> None:
    server = start(SLOW, variables={"WORKER_TIMEOUT": "2"})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.score, "12")
        with pytest.raises(httpx.RemoteProtocolError):
            waiting.result()

    assert server.score("0").status_code == 200
    assert "in run\n    time.sleep(asked)" in server.stderr


def test_runs_that_go_on_hang_not(start: StartServer) -> None:
    with slow_triton(4) as port:
        source = """
        import time
        import tritonclient.http as triton

        def init():
            global client
            client = triton.InferenceServerClient("localhost:8000", network_timeout=20)

        def run(data):
            return client.get_server_metadata() if data == "triton" else time.sleep(0.7)
        """
        variables = {"WORKER_TIMEOUT": "2", "TRITON_HTTP_PORT": str(port), "CONCURRENT_RUNS": "triton"}
        server = start(source, variables={**variables, "TRITON_WAIT_SECONDS": "0"})
        with ThreadPoolExecutor(9) as pool:
            answers = list(pool.map(server.score, ["triton"] + ["sleep"] * 8))

    assert [answer.status_code for answer in answers] == [200] * 9
    assert server.metric("serving_worker_starts_total") == 1


def test_a_front_process_that_dies_is_replaced_and_connections_stay(start: StartServer) -> None:
    server = start(SLOW, flags=["--worker_count", "2"])
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    kept.request("POST", "/score", "0")
    pid = kept.getresponse().read()
    front = server.children()[0]

    front.send_signal(signal.SIGKILL)
    eventually(lambda: front.pid not in [child.pid for child in server.children()], "its end")

    kept.request("POST", "/score", "0")
    assert kept.getresponse().read() == pid
    eventually(lambda: servers.answers(server.url), "the new front process")
    assert server.score("0").status_code == 200


@both
def test_a_reload_drops_no_request(source: str, start: StartServer) -> None:
    server = start(source, flags=["--worker_count", "2"])
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def ask() -> None:
        connection.request("POST", "/score", "0.001")
        answer = connection.getresponse()
        assert (answer.status, answer.read().isdigit()) == (200, True)

    ask()
    old = server.children()[1:]
    server.process.send_signal(signal.SIGHUP)

    def has_reloaded() -> bool:
        ask()
        return not any(worker.is_running() for worker in old)

    eventually(has_reloaded, "the old workers' end")


def test_an_init_that_fails_later_does_not_stop_the_server(start: StartServer) -> None:
    source = """
    import os
    import os
    import pathlib

    def init():
        if pathlib.Path("broken").exists():
            raise RuntimeError("broken by now")

    def run(data):
        if data == '"die"':
            os._exit(7)
        return os.getpid()
    """
    server = start(source, flags=["--worker_count", "2"])
    (server.folder / "broken").touch()
    with pytest.raises(httpx.RemoteProtocolError):
        server.score('"die"')
    eventually(lambda: "broken by now" in server.stderr, "the failing init()")

    assert server.score("0").status_code == 200
    assert server.process.poll() is None
    (server.folder / "broken").unlink()
    eventually(lambda: server.metric("serving_workers") == 2, "the repaired worker")


@both
def test_many_connections_at_once_are_shared_by_all_workers(source: str, start: StartServer) -> None:
    server = start(source, flags=["--worker_count", "2"])
    connections = 300
    until = time.monotonic() + 5  # they even out

    async def ask() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        pid = ""
        while not pid or time.monotonic() < until:
            writer.write(b"POST /score HTTP/1.1\r\nContent-Length: 1\r\n\r\n0")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            pid = (await reader.readexactly(length)).decode()
        writer.close()
        return pid

    async def ask_all() -> list[str]:
        return await asyncio.wait_for(asyncio.gather(*(ask() for _ in range(connections))), 30)

    by_worker = Counter(asyncio.run(ask_all()))

    assert len(by_worker) == 2
    assert min(by_worker.values()) > connections / 4


def test_a_port_that_another_program_opened_meanwhile_ends_the_server(start: StartServer) -> None:
    source = """
    import pathlib, time

    def init():
        while not pathlib.Path("go").exists():
            time.sleep(0.01)

    def run(data):
        return 1
    """
    server = start(source, wait=False)
    eventually(lambda: "Invoking user's init function" in server.stdout, "init()")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        (server.folder / "go").touch()

        assert server.process.wait(20) == 1
    assert f"Cannot listen on 127.0.0.1:{server.port}: Address already in use" in server.stderr


def test_a_description_that_is_broken_later_does_not_stop_the_server(start: StartServer) -> None:
    server = start(SLOW, flags=["--worker_count", "2"], files={"swagger.json": "{}"})
    (server.folder / "swagger.json").write_text("{")
    with pytest.raises(httpx.RemoteProtocolError):
        server.score('"die"')
    eventually(lambda: "swagger.json: expected a description of the service" in server.stderr, "the refusal")

    assert server.score("0").status_code == 200
    (server.folder / "swagger.json").write_text("{}")
    eventually(lambda: server.metric("serving_workers") == 2, "the repaired worker")


def test_more_workers_than_there_is_room_for_are_refused(start: StartServer) -> None:
    server = start(SLOW)

    def is_full() -> bool:
        server.process.send_signal(signal.SIGTTIN)
        return "no room for another worker" in server.stderr

    eventually(is_full, "the refusal")

    assert server.score("0").status_code == 200


def test_a_script_that_leaks_dies_alone(start: StartServer) -> None:
    source = """
    import os, resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    kept = []

    def init():
        pass

    def run(data):
        if data == "leak":
            try:
                while True:
                    kept.append(bytearray(64 << 20))
            except MemoryError:
                os._exit(9)  # as the kernel would end it
        return os.getpid()
    """
    server = start(source, flags=["--worker_count", "2"])
    with pytest.raises(httpx.RemoteProtocolError):
        server.score("leak")

    assert server.get("/").status_code == 200
    assert server.score().status_code == 200
    eventually(lambda: server.metric("serving_workers") == 2, "the new worker")
