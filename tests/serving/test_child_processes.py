"""Processes that run() starts: every way of the standard library works, forked and spawned, with gevent's patches."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from environment.venv import BuiltEnvironment
from tests.serving.conftest import start_in
from tests.serving.servers import Server
from tests.waiting import eventually

SCRIPT = """
import concurrent.futures
import json
import multiprocessing
import multiprocessing.pool
import os
import subprocess
import sys
import time

from azureml.contrib.services.aml_response import AMLResponse  # nothing is in the way of an import in a child

def init():
    global POOL
    POOL = multiprocessing.get_context("fork").Pool(1)

def square(number):
    time.sleep(0.01)
    return number * number

def put(queue, event, lock):
    with lock:
        number = queue.get()
    event.wait()
    queue.put(number + 1)

def hang(_):
    time.sleep(60)

def pool(context):
    with context.Pool(2) as pool:
        return pool.map(square, [1, 2, 3])

def initial(_):
    return POOL.map(square, [1, 2, 3])

def much(context):
    with context.Pool(2) as pool:
        return [len(part) for part in pool.map(bytes, [3_000_000, 5])]

def executor(context):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(square, number) for number in (1, 2, 3)]
        return sorted(future.result() for future in concurrent.futures.as_completed(futures))

def process(context):
    queue, event, lock = context.Queue(), context.Event(), context.Lock()
    child = context.Process(target=put, args=(queue, event, lock))
    child.start()
    queue.put(4)
    event.set()
    child.join()
    return [queue.get(), child.exitcode]

def manager(context):
    with context.Manager() as manager:
        values = manager.dict(a=1)
        values["b"] = square(2)
        return dict(values)

def late(context):
    with context.Pool(2) as pool:
        pool.map(hang, [1])

def threads(_):
    with multiprocessing.pool.ThreadPool(2) as pool, concurrent.futures.ThreadPoolExecutor(2) as executor:
        return [*pool.map(square, [1, 2]), *executor.map(square, [3])]

def program(_):
    command = [sys.executable, "-c", "import sys; print(sys.stdin.read())"]
    first = subprocess.run(command, input="a" * 100_000, capture_output=True, text=True, check=True).stdout
    second = subprocess.check_output("echo b", shell=True, text=True, preexec_fn=lambda: os.nice(1))
    return [len(first), second, os.system("exit 3") >> 8]

def run(data):
    what, method = json.loads(data)
    return globals()[what](multiprocessing.get_context(method))
"""
ANSWERS = {
    "pool": [1, 4, 9],
    "much": [3_000_000, 5],
    "executor": [1, 4, 9],
    "process": [5, 0],
    "manager": {"a": 1, "b": 4},
}
LIMIT_MS = 3000


@pytest.fixture(scope="module", params=["synchronous", "asynchronous"])
def server(
    request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    source = SCRIPT if request.param == "synchronous" else SCRIPT.replace("def run", "async def run")
    folder = tmp_path_factory.mktemp("processes")
    (folder / "ours").mkdir()
    (folder / "ours" / "types.py").write_text("raise RuntimeError('not meant for a child')\n")
    with ExitStack() as stack:
        variables = {"SCORING_TIMEOUT_MS": str(LIMIT_MS)}
        yield start_in(stack, script_environment.python, folder, source, variables=variables)


def ask(server: Server, what: str, method: str | None = "fork") -> Any:
    answer = server.score(json.dumps([what, method]))
    return answer.status_code, answer.json()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("what", ANSWERS)
def test_processes_answer(server: Server, what: str, method: str) -> None:
    assert ask(server, what, method) == (200, ANSWERS[what])


def test_a_pool_that_init_has_made_answers(server: Server) -> None:
    assert [ask(server, "initial"), ask(server, "initial")] == [(200, [1, 4, 9])] * 2


def test_threads_and_programs_answer(server: Server) -> None:
    assert ask(server, "threads") == (200, [1, 4, 9])
    assert ask(server, "program") == (200, [100_001, "b\n", 3])


def test_requests_that_come_meanwhile_are_answered_by_the_worker_alone(server: Server) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: ask(server, "pool"), range(8)))

    assert answers == [(200, [1, 4, 9])] * 8


def test_a_pool_beyond_the_time_limit_is_ended(server: Server) -> None:
    status, answer = ask(server, "late")

    assert (status, answer) == (500, {"message": f"Scoring timeout after {LIMIT_MS} ms"})
    worker = server.children()[1]
    eventually(lambda: sum(map(is_forked, worker.children())) == 1, "the end of the pool")  # and not of init()'s
    assert ask(server, "pool") == (200, [1, 4, 9])


def is_forked(process: psutil.Process) -> bool:
    try:
        return "serving.__main__" in " ".join(process.cmdline())
    except psutil.Error:
        return False
