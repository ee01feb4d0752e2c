"""Special bodies: deeply nested, compressed, or of a form."""

import gzip
import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from environment.venv import BuiltEnvironment
from serving.http.http1 import Request
from serving.script.inputs import is_too_deep
from tests.serving.conftest import start_in
from tests.serving.servers import Server

JSON = {"Content-Type": "application/json"}
TEXT = """
import json

def init():
    pass

def run(data):
    if data == "mine":
        return run(data)
    return len(str(json.loads(data)["data"]))
"""
SCHEMA = """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

def init():
    pass

@input_schema("data", StandardPythonParameterType({"a": 1}))
def run(data):
    return len(str(data))
"""
RAW = """
import gzip
from azureml.contrib.services.aml_request import rawhttp

def init():
    pass

@rawhttp
def run(request):
    if request.headers.get("Content-Encoding") == "gzip":
        return gzip.decompress(request.get_data()).decode()
    return len(str(request.get_json(force=True)))
"""
SCRIPTS = {"text": TEXT, "schema": SCHEMA, "raw": RAW, "asynchronous": TEXT.replace("def run", "async def run")}


@pytest.fixture(scope="module", params=SCRIPTS)
def server(
    request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("bodies")
        yield start_in(stack, script_environment.python, folder, SCRIPTS[request.param])


def test_json_that_is_nested_too_deeply_is_the_clients_error(server: Server) -> None:
    for start, end in (("[", "]"), ('{"a":', "}")):
        for depth, is_closed in itertools.product((990, 5_000, 200_000), (True, False)):
            body = '{"data":' + start * depth + ("1" + end * depth + "}" if is_closed else "")
            answer = server.score(body, headers=JSON)
            assert (answer.status_code, answer.headers["x-ms-run-function-failed"]) == (400, "False"), (start, depth)
    assert server.score('{"data": {"b": [1]}}', headers=JSON).status_code == 200
    assert server.metric("serving_worker_starts_total") == 1


def test_a_script_that_calls_itself_for_ever_is_at_fault_itself(server: Server) -> None:
    if "mine" in (server.folder / "score.py").read_text():
        assert server.score("mine").status_code == 500


def test_nothing_is_decompressed(server: Server) -> None:
    worker = server.children()[1]
    before = worker.memory_info().rss
    bomb = gzip.compress(b"0" * 100_000_000)
    is_raw = "rawhttp" in (server.folder / "score.py").read_text()
    for encoding in ("gzip", "GZIP", "deflate", "br", "gzip, gzip"):
        if is_raw:
            continue
        answer = server.score(bomb, headers=JSON | {"Content-Encoding": encoding})
        assert answer.status_code == 415
        assert answer.json()["message"].endswith("is not supported: send the body as it is")
    assert server.score('{"data": {"a": 1}}', headers=JSON | {"Content-Encoding": "identity"}).status_code == 200
    assert psutil.Process(worker.pid).memory_info().rss < before + 20_000_000
    if is_raw:  # has the body as it came
        assert server.score(gzip.compress(b"a"), headers={"Content-Encoding": "gzip"}).text == '"a"'


def test_a_form_of_5_megabytes_is_a_body_as_any(server: Server) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # what `curl -d` sends
    answer = server.score(b'{"data": "%b"}' % (b"a" * 5_000_000), headers=form)

    assert answer.status_code == (415 if "input_schema" in (server.folder / "score.py").read_text() else 200)


@given(st.integers(0, 300), st.text('[]{}"\\a', max_size=20))
def test_depth_is_counted_outside_of_strings(depth: int, text: str) -> None:
    request = Request()
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    request.body = f'["{quoted}", {{"{quoted}": {"[" * depth}'.encode()

    assert is_too_deep(request) == (depth + 2 > 200)
