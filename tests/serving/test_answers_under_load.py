"""No answer is ever swapped between requests, whatever kind of script it is, under load and through timeouts."""

import http.client
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import backends
from tests.serving.backends import slow_triton
from tests.serving.conftest import StartServer
from tests.serving.servers import Server

CLIENTS = 24
REQUESTS = 40

GLOBAL_CLIENT = """
import json
import numpy as np
import tritonclient.http as triton

def ask(value):
    tensor = triton.InferInput("value", [2], "INT64")
    tensor.set_data_from_numpy(np.array([value, -value], dtype=np.int64))
    return client.infer("echo", [tensor]).as_numpy("value").tolist()

def init():
    global client
    client = triton.InferenceServerClient(url="localhost:8000")
    ask(0)
"""

SCRIPTS = {
    "synchronous, one global client": GLOBAL_CLIENT
    + """
def run(data):
    return ask(json.loads(data)["value"])
""",
    "synchronous, with threads of its own": GLOBAL_CLIENT
    + """
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(4)

def run(data):
    value = json.loads(data)["value"]
    parts = list(pool.map(ask, [value, value + 1]))
    assert parts[1] == [value + 1, -value - 1], parts
    return parts[0]
""",
    "asynchronous, with our client": """
import json
from serving.triton.client import Triton

triton = Triton("http://localhost:8000")

async def init():
    await triton.infer("echo", {"value": [0]})

async def run(data):
    value = json.loads(data)["value"]
    return (await triton.infer("echo", {"value": [value, -value]}))["value"]
""",
    "asynchronous, with Triton's client": """
import json
import numpy as np
import tritonclient.http.aio as triton

async def init():
    global client
    client = triton.InferenceServerClient(url="localhost:8000")

async def run(data):
    value = json.loads(data)["value"]
    tensor = triton.InferInput("value", [2], "INT64")
    tensor.set_data_from_numpy(np.array([value, -value], dtype=np.int64))
    return (await client.infer("echo", [tensor])).as_numpy("value")
""",
    "asynchronous, with the global client in threads": "import asyncio"
    + GLOBAL_CLIENT
    + """
async def run(data):
    return await asyncio.to_thread(ask, json.loads(data)["value"])
""",
    "one global connection that speaks lines": """
import json, os, socket

def init():
    global backend
    backend = socket.create_connection(("127.0.0.1", int(os.environ["LINES"]))).makefile("rwb")

def run(data):
    backend.write(f"{json.loads(data)['value']}\\n".encode())
    backend.flush()
    value = int(backend.readline())
    return [value, -value]
""",
    "one global HTTP connection": """
import http.client, json, os

def init():
    global backend
    backend = http.client.HTTPConnection("127.0.0.1", int(os.environ["HTTP"]))

def run(data):
    backend.request("POST", "/", str(json.loads(data)["value"]))
    value = int(backend.getresponse().read())
    return [value, -value]
""",
    "a variable of the module, and a wait": """
import json, time

def init():
    pass

def run(data):
    global value
    value = json.loads(data)["value"]
    time.sleep(0.002)
    return [value, -value]
""",
    "an event loop of its own": """
import asyncio, json

def init():
    pass

async def ask(value):
    await asyncio.sleep(0.002)
    return [value, -value]

def run(data):
    return asyncio.run(ask(json.loads(data)["value"]))
""",
    "a variable of the module, and Triton": GLOBAL_CLIENT
    + """
def remember(data):
    global value
    value = json.loads(data)["value"]

def run(data):
    remember(data)
    ask(0)
    return [value, -value]
""",
    "an item of the module's variable, and Triton": GLOBAL_CLIENT
    + """
state = {}

def run(data):
    state["value"] = json.loads(data)["value"]
    ask(0)
    return [state["value"], -state["value"]]
""",
    "an event loop of its own, and Triton": GLOBAL_CLIENT
    + """
import asyncio

async def ask_later(value):
    await asyncio.sleep(0)
    return ask(value)

def run(data):
    return asyncio.run(ask_later(json.loads(data)["value"]))
""",
    "one global client behind a lock": GLOBAL_CLIENT
    + """
import threading

lock = threading.Lock()

def run(data):
    with lock:
        return ask(json.loads(data)["value"])
""",
    "clients lent by a queue": GLOBAL_CLIENT
    + """
import queue

clients = queue.Queue()

def run(data):
    if clients.empty() and client:
        for _ in range(3):
            clients.put(client)
    lent = clients.get()
    try:
        return ask(json.loads(data)["value"])
    finally:
        clients.put(lent)
""",
    "Triton's answers fetched later": GLOBAL_CLIENT
    + """
def begin(value):
    tensor = triton.InferInput("value", [2], "INT64")
    tensor.set_data_from_numpy(np.array([value, -value], dtype=np.int64))
    return client.async_infer("echo", [tensor])

def run(data):
    value = json.loads(data)["value"]
    first, second = begin(value), begin(value + 1)
    assert second.get_result().as_numpy("value").tolist() == [value + 1, -value - 1]
    return first.get_result().as_numpy("value").tolist()
""",
    "computing": """
import json

def init():
    pass

def run(data):
    value = json.loads(data)["value"]
    sum(range(20000))
    return [value, -value]
""",
}


def ask_many(server: Server, client: int) -> tuple[int, list[object]]:
    """Ask over one connection; count the right answers, and collect the wrong ones."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    right, wrong = 0, []
    for number in range(REQUESTS):
        value = client * 1_000_000 + number
        name = f"{client}-{number}"
        connection.request("POST", "/score", json.dumps({"value": value}), {"x-request-id": name})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200:
            if json.loads(body) == [value, -value] and answer.headers["x-request-id"] == name:
                right += 1
            else:
                wrong.append((value, name, body, answer.headers["x-request-id"]))
        elif answer.status != 500:
            wrong.append((answer.status, body))
        if answer.will_close or random.random() < 0.05:
            connection.close()
    connection.close()
    return right, wrong


def ask_all(server: Server) -> tuple[int, list[object]]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        results = list(pool.map(lambda client: ask_many(server, client), range(CLIENTS)))
    return sum(right for right, _ in results), [answer for _, wrong in results for answer in wrong]


def triton_variables(triton: Server, **more: str) -> dict[str, str]:
    return {"TRITON_HTTP_PORT": str(triton.port), "WORKER_COUNT": "2", **more}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_no_answer_is_swapped(kind: str, start: StartServer, triton: Server) -> None:
    with backends.running() as ports:
        server = start(SCRIPTS[kind], variables=triton_variables(triton, **ports))

        assert ask_all(server) == (CLIENTS * REQUESTS, [])


WAITS_FOR_TRITON = """
import json
import tritonclient.http as triton

def init():
    global client
    client = triton.InferenceServerClient(url="localhost:8000")

def run(data):
    return client.get_server_metadata()
"""


def test_runs_are_concurrent_where_they_wait_for_triton(start: StartServer) -> None:
    with slow_triton(0.5) as port:
        server = start(WAITS_FOR_TRITON, variables={"TRITON_HTTP_PORT": str(port), "TRITON_WAIT_SECONDS": "0"})

        assert seconds_of(server, 6) < 1.5


@pytest.mark.parametrize(
    ("source", "said"),
    [(WAITS_FOR_TRITON + "    global last\n    last = data\n", True), (WAITS_FOR_TRITON, False)],
    ids=["a variable of the module", "never"],
)
def test_other_runs_wait_where_they_may_not_be_concurrent(source: str, said: bool, start: StartServer) -> None:
    source = source.replace("    return client.get_server_metadata()", "    client.get_server_metadata()")
    with slow_triton(0.2) as port:
        variables = {"TRITON_HTTP_PORT": str(port), "TRITON_WAIT_SECONDS": "0"}
        server = start(source, variables=variables if said else {**variables, "CONCURRENT_RUNS": "never"})

        assert seconds_of(server, 6) > 1.2
        assert ("one runs at a time in each worker" in server.stdout) is said


def test_every_wait_is_concurrent_where_that_is_asked_for(start: StartServer) -> None:
    source = "import time\ndef init(): pass\ndef run(data): time.sleep(0.3)"
    server = start(source, variables={"CONCURRENT_RUNS": "always"})

    assert seconds_of(server, 10) < 2


def seconds_of(server: Server, requests: int) -> float:
    """Measure how long some requests at once take."""
    started = time.monotonic()
    with ThreadPoolExecutor(requests) as pool:
        assert {answer.status_code for answer in pool.map(server.score, ["{}"] * requests)} == {200}
    return time.monotonic() - started


@pytest.mark.parametrize("kind", ["synchronous, one global client", "asynchronous, with our client"])
def test_no_answer_is_swapped_when_workers_share_a_preloaded_script(
    kind: str, start: StartServer, triton: Server
) -> None:
    server = start(SCRIPTS[kind], variables=triton_variables(triton, WORKER_PRELOAD="true"))

    assert ask_all(server) == (CLIENTS * REQUESTS, [])


def test_no_answer_is_swapped_without_gevents_patches(start: StartServer, triton: Server) -> None:
    variables = triton_variables(triton, GEVENT_MONKEY_PATCH="false")
    server = start(SCRIPTS["synchronous, with threads of its own"], variables=variables)

    assert ask_all(server) == (CLIENTS * REQUESTS, [])


@pytest.mark.parametrize("kind", ["synchronous, one global client", "asynchronous, with our client"])
def test_no_answer_is_swapped_when_run_is_stopped_in_the_middle(kind: str, start: StartServer, triton: Server) -> None:
    server = start(SCRIPTS[kind], variables=triton_variables(triton, SCORING_TIMEOUT_MS="15"))

    right, wrong = ask_all(server)

    assert wrong == []
    assert 0 < right < CLIENTS * REQUESTS, "the time limit was to hit some requests, and not all"
