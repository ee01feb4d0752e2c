"""Health, readiness and metrics: answered at once, whatever the scripts do."""

import http.client
import json
import socket
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway import envoy_command, envoy_files, envoy_folder
from gateway.front_door_options import Options, Upstreams, loopback
from gateway.keys import Keys
from targets.machine.ports import free_ports
from tests.serving import servers
from tests.serving.conftest import StartServer
from tests.serving.servers import Server
from tests.waiting import eventually

# Gives the processor no rest and, in C, the interpreter neither.
BUSY = """
import hashlib
import json
import time

def init():
    pass

def run(data):
    until = time.monotonic() + json.loads(data)
    while time.monotonic() < until:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000)
    return "done"
"""
BUSY_ASYNC = BUSY.replace("def init", "async def init").replace("def run", "async def run")


def seconds_of(server: Server, path: str) -> float:
    """How long one request on a new connection takes."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().status == 200
    connection.close()
    return time.perf_counter() - started


@pytest.mark.parametrize("source", [BUSY, BUSY_ASYNC], ids=["synchronous", "asynchronous"])
def test_health_answers_at_once_while_every_run_is_busy(source: str, start: StartServer) -> None:
    server = start(source, flags=["--worker_count", "2"])
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(server.score, "4") for _ in range(2)]
        eventually(lambda: server.metric("serving_requests_in_flight") == 2, "both runs")

        taken = [seconds_of(server, path) for path in ("/", "/ready", "/") for _ in range(3)]

        assert not any(run.done() for run in runs), "the runs were to be busy meanwhile"
        # Most of the time: other processes of this machine may take their turn in between.
        assert statistics.median(taken) < 0.05
        assert [run.result().json() for run in runs] == ["done", "done"]


def test_health_answers_at_once_through_the_front_door_too(start: StartServer, tmp_path: Path) -> None:
    server = start(BUSY)
    port, stats = free_ports(2)
    key = "k" * 40
    options = Options(
        upstreams=Upstreams(scorer=loopback(server.port)),
        directory=str(tmp_path / "envoy"),
        listen=loopback(port),
        stats=loopback(stats),
        timeout_seconds=60,
    )
    envoy_folder.install(
        tmp_path / "envoy",
        envoy_files.render(options) | envoy_files.render_keys(Keys(primary=key, secondary=key[::-1] + "2")),
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=20)
    command = envoy_command.command(str(tmp_path / "envoy" / envoy_files.BOOTSTRAP_FILE))
    with client, servers.spawned(command, port, tmp_path / "log"), ThreadPoolExecutor(6) as pool:
        eventually(lambda: client.get("/").status_code == 200, "the front door", ignoring=(httpx.HTTPError,))
        # Connections that Envoy keeps, and a worker holds.
        list(pool.map(lambda _: client.post("/score", content="0"), range(12)))
        busy = pool.submit(client.post, "/score", content="3")
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")

        taken = []
        for _ in range(9):
            started = time.perf_counter()
            assert client.get("/").text == "Healthy"
            taken.append(time.perf_counter() - started)

        assert not busy.done()
        assert statistics.median(taken) < 0.05
        assert "serving_workers 1" in httpx.get(f"http://127.0.0.1:{stats}/scorer/metrics").text
        assert busy.result().status_code == 200


def test_a_new_connection_goes_to_the_worker_that_is_free(start: StartServer) -> None:
    server = start(BUSY, flags=["--worker_count", "2"])
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(server.score, "2")
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")

        assert server.score("0").json() == "done"
        assert not busy.done()


def test_kept_connections_do_not_wait_behind_a_computing_run(start: StartServer) -> None:
    server = start(BUSY, flags=["--worker_count", "2"])
    kept = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(6)]

    def ask(connection: http.client.HTTPConnection, seconds: float) -> bytes:
        connection.request("POST", "/score", str(seconds))
        return connection.getresponse().read()

    for connection in kept:
        ask(connection, 0.1)  # whichever worker has computed for a client does not keep it
    with ThreadPoolExecutor(1) as pool:
        busy: Future[bytes] = pool.submit(ask, kept[0], 2)
        eventually(lambda: server.metric("serving_requests_in_flight") == 1, "the run")

        assert [ask(connection, 0.0) for connection in kept[1:]] == [b'"done"'] * 5
        assert not busy.done()


def test_the_port_opens_after_init(start: StartServer) -> None:
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

    with pytest.raises(httpx.ConnectError):
        server.get("/")
    (server.folder / "go").touch()
    eventually(lambda: servers.answers(server.url), "the open port")
    assert server.get("/ready").json() == {"message": "Ready"}


def test_readiness_is_false_while_the_only_worker_is_replaced(start: StartServer) -> None:
    source = """
    import os, pathlib, time

    def init():
        while pathlib.Path("wait").exists():
            time.sleep(0.01)

    def run(data):
        os._exit(1)
    """
    server = start(source)
    (server.folder / "wait").touch()
    with pytest.raises(httpx.RemoteProtocolError):
        server.score()
    eventually(lambda: server.metric("serving_worker_starts_total") == 2, "the second worker")

    answer = server.get("/ready")

    assert (answer.status_code, answer.json()) == (503, {"message": "no worker is ready"})
    (server.folder / "wait").unlink()
    eventually(lambda: server.get("/ready").status_code == 200, "readiness")


def test_readiness_names_the_models_that_are_missing(start: StartServer, triton: Server) -> None:
    variables = {
        "TRITON_HTTP_PORT": str(triton.port),
        "TRITON_MODELS": "echo:1,digits:7",
        "TRITON_WAIT_SECONDS": "0",
    }
    server = start("def init(): pass\ndef run(data): return 1", variables=variables)

    answer = server.get("/ready")

    assert answer.status_code == 503
    assert "model digits version 7" in answer.json()["message"]
    assert "echo" not in answer.json()["message"].partition("received")[0]
    assert server.get("/").text == "Healthy"


def test_readiness_asks_for_the_models_of_a_probe_file(start: StartServer) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    probe = {"triton": {"url": url, "models": [{"name": "digits", "version": 1, "golden": None}]}, "scorer": None}
    server = start(
        "def init(): pass\ndef run(data): return 1",
        variables={"TRITON_PROBE_FILE": "probe.json", "TRITON_WAIT_SECONDS": "0"},
        files={"probe.json": json.dumps(probe)},
    )

    answer = server.get("/ready")

    assert answer.status_code == 503
    assert url in answer.json()["message"]


def test_readiness_is_true_with_all_models_loaded(start: StartServer, triton: Server) -> None:
    variables = {"TRITON_HTTP_PORT": str(triton.port), "TRITON_MODELS": "echo:1,digits:1"}
    server = start("def init(): pass\ndef run(data): return 1", variables=variables)

    assert server.get("/ready").status_code == 200


def test_readiness_waits_for_no_script_when_triton_is_gone(start: StartServer) -> None:
    variables = {
        "TRITON_HTTP_PORT": str(free_ports(1)[0]),
        "TRITON_MODELS": "digits:1",
        "TRITON_WAIT_SECONDS": "0",
    }
    server = start("def init(): pass\ndef run(data): return 1", variables=variables)

    assert server.get("/ready").status_code == 503
    assert "Triton is not ready" in server.stdout


def test_requests_behind_one_for_readiness_are_not_answered_before_it(start: StartServer) -> None:
    variables = {"TRITON_HTTP_PORT": str(free_ports(1)[0]), "TRITON_MODELS": "a:1", "TRITON_WAIT_SECONDS": "0"}
    server = start("def init(): pass\ndef run(data): return 1", variables=variables)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /ready HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        received = b""
        while part := connection.recv(65536):
            received += part

    assert received.startswith(b"HTTP/1.1 503 "), received
    assert b"Healthy" not in received, "the connection ends with the first answer, which says so"


def test_a_separate_port_answers_health_too(start: StartServer, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    server = start(BUSY, flags=["--health_port", str(port)], variables={"SEPERATE_HEALTH_ENDPOINT": "true"})

    assert servers.HTTP.get(f"http://127.0.0.1:{port}/").text == "Healthy"
    assert server.get("/").text == "Healthy"


def test_metrics_count_what_happened(start: StartServer, triton: Server) -> None:
    source = """
    import json
    import numpy as np
    import tritonclient.http as triton

    def init():
        global client
        client = triton.InferenceServerClient("localhost:8000")

    def run(data):
        if data == "fail":
            raise RuntimeError
        if data == "reject":
            raise ValueError("no")
        tensor = triton.InferInput("value", [1], "INT64")
        tensor.set_data_from_numpy(np.array([1]))
        return client.infer("echo", [tensor]).as_numpy("value").tolist()
    """
    server = start(source, variables={"TRITON_HTTP_PORT": str(triton.port), "WORKER_COUNT": "2"})
    for content in ("ask", "ask", "fail", "reject"):
        server.score(content)

    assert server.metric('serving_requests_total{code="200"}') >= 2
    assert server.metric('serving_requests_total{code="500"}') == 1
    assert server.metric('serving_requests_total{code="400"}') == 1
    assert server.metric("serving_run_failures_total") == 1
    assert server.metric("serving_run_rejections_total") == 1
    assert server.metric("serving_run_seconds_count") == 4
    assert server.metric("serving_queue_seconds_count") == 4
    assert server.metric("serving_triton_seconds_count") == 2
    assert 0 < server.metric("serving_triton_seconds_sum") < server.metric("serving_run_seconds_sum")
    assert server.metric("serving_requests_in_flight") == 0
    assert server.metric("serving_workers") == 2


def test_the_request_id_is_in_tritons_log(start: StartServer, triton: Server) -> None:
    source = """
    from serving.triton.client import Triton

    triton = Triton()

    async def init():
        pass

    async def run(data):
        return (await triton.infer("echo", {"value": [1]}))["value"]
    """
    server = start(source, variables={"TRITON_HTTP_PORT": str(triton.port)})

    assert server.score(headers={"x-request-id": "find-me-again"}).json() == [1]

    eventually(lambda: "find-me-again" in triton.stderr + triton.stdout, "the id in Triton's log")
