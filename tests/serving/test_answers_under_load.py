"""No answer is ever swapped between requests, whatever kind of script it is, under load and through timeouts."""

import http.client
import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

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
from serving.triton import Triton

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
    """Ask over one connection; how many answers were right, and those that were not."""
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
    server = start(SCRIPTS[kind], variables=triton_variables(triton))

    assert ask_all(server) == (CLIENTS * REQUESTS, [])


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
