"""The contract with clients, side by side: ours answers as Azure's server does, or differs for a reason."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from environment.venv import BuiltEnvironment
from tests.serving.conftest import start_in
from tests.serving.servers import Server
from tests.serving.side_by_side import Case

Pair = tuple[Server, Server]

TEXT = """
import dataclasses
import datetime
import enum
import json
import uuid

import numpy as np

Colour = enum.Enum("Colour", {"RED": "red"})
Point = dataclasses.make_dataclass("Point", ["x"])
DAY = datetime.date(2026, 11, 21)
VALUES = {
    "date": DAY,
    "uuid": uuid.UUID(int=1),
    "enum": Colour.RED,
    "dataclass": Point(1),
    "date as a key": {DAY: 1},
}

def init():
    print("init has been called")

def run(data, request_headers):
    asked = json.loads(data)
    if asked == "raise":
        raise RuntimeError("a detail of the inside")
    if asked == "reject":
        raise ValueError("expected 64 numbers")
    if asked == "headers":
        return {name: request_headers.get(name) for name in ("X-Custom", "Content-Type", "Content-Length")}
    if asked == "nan":
        return {"value": float("nan")}
    if asked == "nan by number":
        return {1: float("nan")}
    if asked == "nan of numpy":
        return {"big": 2**70, "number": np.float32("nan"), "array": np.array([[1.0, float("nan")], [3.0, 4.0]]).T}
    if isinstance(asked, str) and asked in VALUES:
        return VALUES[asked]
    if asked == "underscore":
        return sorted(name for name in request_headers if "ustom" in name)
    if asked == "numpy":
        return {"value": np.float32(0.5), "values": np.arange(3)}
    return {"none": None, "text": "text", "list": [1, "a", None], "unicode": "é✓"}.get(asked, asked) if isinstance(
        asked, str
    ) else asked
"""

SCHEMA = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("scale", StandardPythonParameterType(2))
@output_schema(NumpyParameterType(np.array([3.0])))
def run(data, scale=10):
    return (data.sum(axis=1) * scale).tolist()
"""

RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request):
    if request.path != "/score":
        raise RuntimeError(request.path)
    if request.args.get("as") == "bytes":
        return AMLResponse(request.get_data()[::-1], 200, {"Content-Type": "image/png", "x-custom": "a, b"})
    if request.args.get("as") == "failure":
        return AMLResponse("broken", 503)
    if request.args.get("as") == "json":
        return AMLResponse({"teapot": True}, 418, json_str=True)
    if request.args.get("as") == "args":
        return {"args": request.args, "cookies": request.cookies}
    if request.args.get("as") == "environment":
        found = [request.scheme, request.content_type, request.content_length, request.get_data(as_text=True)]
        return [*found, hasattr(request.environ.get("wsgi.errors"), "write")]
    if request.args.get("as") == "ids":
        names = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "Date", "Server", "x-custom")
        return AMLResponse("", 200, {name: "mine" for name in names})
    if request.args.get("as") == "typed JSON":
        return AMLResponse({"a": 1}, 200, {"Content-Type": "application/problem+json"}, json_str=True)
    if request.args.get("as") == "typed text":
        return AMLResponse("a", 200, {"content-type": "text/csv"})
    if request.args.get("as") == "none":
        return AMLResponse(None, 200)
    if request.args.get("as") == "no content":
        return AMLResponse("abc", 204)
    if request.args.get("as") == "form":
        return {"name": request.form["name"], "file": request.files["file"].read().decode()}
    return {"method": request.method, "length": len(request.get_data()), "agent": request.headers.get("X-Agent")}
"""

JSON = {"Content-Type": "application/json"}
NO_SCHEME = "Swagger 2 then means the scheme by which it was asked, be that http or https"
IDS_ANYWAY = "ids are echoed whatever the method"

TEXT_CASES = [
    Case("health", "GET", "/"),
    Case("health of a HEAD request", "HEAD", "/"),
    Case("health with an id", "GET", "/", headers={"x-request-id": "abc"}),
    Case("health by POST", "POST", "/"),
    Case("health by OPTIONS", "OPTIONS", "/"),
    Case("a JSON object", content='{"a": [1, 2.5, null, true]}', headers=JSON),
    Case("a body of no declared type", content='{"a": 1}'),
    Case("run() returns None", content='"none"'),
    Case("run() returns text", content='"text"'),
    Case("run() returns a list", content='"list"'),
    Case("run() returns what is not ASCII", content='"unicode"'),
    Case(
        "run() returns NaN",
        content='"nan"',
        differs="JSON has no NaN",
        ours={"status": 200, "body": {"value": None}},
    ),
    Case(
        "run() returns numpy's values",
        content='"numpy"',
        differs="they have an obvious form in JSON",
        ours={"status": 200, "body": {"value": 0.5, "values": [0, 1, 2]}},
    ),
    Case(
        "run() returns numpy's NaN",
        content='"nan of numpy"',
        differs="JSON has no NaN",
        ours={"status": 200, "body": {"big": 2**70, "number": None, "array": [[1.0, 3.0], [None, 4.0]]}},
    ),
    *(
        Case(
            f"run() returns a value of the standard library: {name}",
            content=f'"{name}"',
            differs="it has an obvious form in JSON",
            ours={"status": 200, "body": body},
        )
        for name, body in {
            "date": "2026-11-21",
            "uuid": "00000000-0000-0000-0000-000000000001",
            "enum": "red",
            "dataclass": {"x": 1},
            "date as a key": {"2026-11-21": 1},
        }.items()
    ),
    Case("run() sees the headers", content='"headers"', headers={**JSON, "x-custom": "1"}),
    Case("a query", "GET", "/score?a=1&b=[1,2]&c=a&d=null&e=%C3%A9&f="),
    Case("a parameter that is no UTF-8", "GET", "/score?a=%FF&b=%C3%28&c=x%e9y"),
    Case("a repeated parameter", "GET", "/score?a=1&a=x&b=2"),
    Case("no query", "GET", "/score"),
    Case("an id", content="1", headers={"x-request-id": "abc"}),
    Case("a client's id", content="1", headers={"x-ms-client-request-id": "abc", "x-request-id": "r"}),
    Case("an old client's id", content="1", headers={"x-ms-request-id": "abc", "x-request-id": "r"}),
    Case("all ids", content="1", headers={"x-ms-request-id": "a", "x-request-id": "b", "x-ms-client-request-id": "c"}),
    Case("an id of 100 characters", content="1", headers={"x-request-id": "a" * 100}),
    Case("an id too long", content="1", headers={"x-request-id": "a" * 101}),
    Case("a client's id too long", content="1", headers={"x-ms-client-request-id": "a" * 101, "x-request-id": "r"}),
    Case("an old client's id too long", content="1", headers={"x-ms-request-id": "a" * 101, "x-request-id": "r"}),
    Case("an id too long for health", "GET", "/", headers={"x-request-id": "a" * 101}),
    Case("a trace id", content="1", headers={"TraceId": "t"}),
    Case("run() raises", content='"raise"'),
    Case(
        "run() rejects its input",
        content='"reject"',
        differs="ValueError is the client's error",
        ours={
            "status": 400,
            "body": {"message": "The scoring script rejected the input: expected 64 numbers"},
            "x-ms-run-function-failed": "False",
        },
    ),
    Case(
        "a body that is no JSON, which run() expects",
        content="{",
        differs="json.loads raises ValueError, so the client's error",
        ours={"status": 400, "x-ms-run-function-failed": "False"},
    ),
    Case("a body that is no UTF-8", content=b'"\xff"'),
    Case("PUT", "PUT", content="1", differs=IDS_ANYWAY, ours={"status": 405, "x-request-id": "<uuid>"}),
    Case("DELETE", "DELETE", differs=IDS_ANYWAY, ours={"status": 405, "x-request-id": "<uuid>"}),
    Case("OPTIONS", "OPTIONS"),
    Case("a path that is not there", "GET", "/nothing"),
    Case("a POST to a path that is not there", "POST", "/nothing", content="1"),
    Case("a slash too many", "POST", "/score/", content="1"),
    Case("a description", "GET", "/swagger.json", differs=NO_SCHEME, ours={"status": 200}),
    Case("a description of version 2", "GET", "/swagger.json?version=2", differs=NO_SCHEME, ours={"status": 200}),
    Case("a description of version 3", "GET", "/swagger.json?version=3"),
    Case("a description of version 3.1", "GET", "/swagger.json?version=3.1"),
    Case("a description of no version", "GET", "/swagger.json?version=9"),
    Case("a description of an empty version", "GET", "/swagger.json?version="),
    Case("a POST to the description", "POST", "/swagger.json"),
    Case("OPTIONS of the description", "OPTIONS", "/swagger.json"),
    Case("OPTIONS of a path that is not there", "OPTIONS", "/nothing"),
    Case("a description of two versions", "GET", "/swagger.json?version=3&version=2"),
    Case("slashes too many before", "POST", "//score", content="1"),
    Case("an escaped letter", "POST", "/%73core", content="1"),
    Case("a header with an underscore", content='"underscore"', headers={"x_custom": "1"}),
    Case(
        "run() returns NaN by a number",
        content='"nan by number"',
        differs="JSON has no NaN",
        ours={"status": 200, "body": {"1": None}},
    ),
    Case(
        "a form",
        content="a=1&b=2",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        differs="run() gets the body whatever its type",
        ours={"status": 400},
    ),
    Case("JSON that is nested too deeply", "GET", "/score?a=" + "[" * 3500, differs="refused", ours={"status": 400}),
]

SCHEMA_CASES = [
    Case("values for both parameters", content='{"data": [[1, 2], [3, 4]], "scale": 3}', headers=JSON),
    Case("a default", content='{"data": [[1, 2]]}', headers=JSON),
    Case("a value too many", content='{"data": [[1, 2]], "more": 1}', headers=JSON),
    Case("a type with a suffix", content='{"data": [[1, 2]]}', headers={"Content-Type": "application/a+json"}),
    Case(
        "a type with a charset",
        content='{"data": [[1, 2]]}',
        headers={"Content-Type": "application/json;charset=utf-8"},
    ),
    Case("a query", "GET", "/score?data=[[1,2]]&scale=2"),
    Case("no value", content='{"scale": 3}', headers=JSON),
    Case("no value in a query", "GET", "/score?scale=3"),
    Case("another type", content='{"data": [[1, 2]]}', headers={"Content-Type": "text/plain"}),
    Case("no type", content='{"data": [[1, 2]]}'),
    Case("no body", headers=JSON),
    Case("no JSON", content='{"data": [', headers=JSON),
    Case("no object", content="[1]", headers=JSON),
    Case(
        "values of another type",
        content='{"data": [[{}, 2]]}',
        headers=JSON,
        differs="inference-schema's TypeError is the client's error too",
        ours={"status": 400, "x-ms-run-function-failed": "False"},
    ),
    Case(
        "values of another shape",
        content='{"data": "x"}',
        headers=JSON,
        differs="inference-schema's ValueError is the client's error",
        ours={"status": 400, "x-ms-run-function-failed": "False"},
    ),
    Case("a description", "GET", "/swagger.json", differs=NO_SCHEME, ours={"status": 200}),
    Case("a description of version 3", "GET", "/swagger.json?version=3"),
    Case("a description of version 3.1", "GET", "/swagger.json?version=3.1"),
]

ASYNC = """
async def init():
    pass

async def run(data):
    return data
"""

ASYNC_CASES = [
    Case(
        "an asynchronous run()",
        content="1",
        differs="it is awaited",
        ours={"status": 200, "body": "1", "x-ms-run-function-failed": "False"},
    ),
]

RAW_CASES = [
    Case("POST", content=b"\x00\xff123", headers={"x-agent": "me"}),
    Case("GET", "GET", "/score?a=1"),
    Case("OPTIONS", "OPTIONS"),
    Case("PUT", "PUT", content="1", differs=IDS_ANYWAY, ours={"status": 405, "x-request-id": "<uuid>"}),
    Case("bytes with headers", path="/score?as=bytes", content=b"abc"),
    Case("JSON of a status", path="/score?as=json"),
    Case("nothing", path="/score?as=none"),
    Case("no content", path="/score?as=no%20content"),
    Case("what a request is made of", "GET", "/score?as=environment"),
    Case("a request with an empty body", path="/score?as=environment"),
    Case(
        "a request that came by TLS",
        path="/score?as=environment",
        content="abc",
        headers={"Content-Type": "text/plain", "X-Forwarded-Proto": "https"},
    ),
    Case("ids that run() gives", path="/score?as=ids"),
    Case("ids that run() gives, and the client", path="/score?as=ids", headers={"x-request-id": "a"}),
    Case(
        "JSON of another type",
        path="/score?as=typed%20JSON",
        differs="one type, there two",
        ours={"status": 200, "body": {"a": 1}, "content-type": "application/problem+json"},
    ),
    Case(
        "text of another type",
        path="/score?as=typed%20text",
        differs="one type, there two",
        ours={"status": 200, "body": "a", "content-type": "text/csv"},
    ),
    Case("parameters and cookies", path="/score?as=args&m=1&m=2", headers={"Cookie": "a=b; c=d"}),
    Case("a failure", path="/score?as=failure"),
    Case(
        "a form",
        path="/score?as=form",
        headers={"Content-Type": "multipart/form-data; boundary=X"},
        content='--X\r\nContent-Disposition: form-data; name="name"\r\n\r\nmy\r\n'
        '--X\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ncontent\r\n--X--\r\n',
    ),
]


SLOW = """
import time

def init():
    pass

def run(data):
    time.sleep(5)
"""

SLOW_CASES = [Case("a run() that takes too long", content="1")]

SCRIPTS = {
    "without decorators": (TEXT, TEXT_CASES),
    "with a schema": (SCHEMA, SCHEMA_CASES),
    "with rawhttp": (RAW, RAW_CASES),
    "asynchronous": (ASYNC, ASYNC_CASES),
    "slow": (SLOW, SLOW_CASES),
}


@pytest.fixture(scope="module")
def pair_of(
    script_environment: BuiltEnvironment, peer_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Pair]]:
    """Give both servers with the script of a kind, started when a test first asks for them."""
    variables = {"SERVICE_NAME": "digits", "SERVICE_VERSION": "7", "SERVICE_PATH_PREFIX": "api/v1"}
    with ExitStack() as stack:

        @cache
        def start(kind: str) -> Pair:
            folder = tmp_path_factory.mktemp("pair")
            script, _ = SCRIPTS[kind]
            own = {**variables, "SCORING_TIMEOUT_MS": "400"} if kind == "slow" else variables
            ours = start_in(stack, script_environment.python, folder, script, variables=own)
            return ours, start_in(stack, peer_python, folder, script, variables=own, peer=True)

        yield start


@pytest.mark.parametrize(
    ("kind", "case"),
    [pytest.param(kind, case, id=f"{kind}: {case}") for kind, (_, cases) in SCRIPTS.items() for case in cases],
)
def test_a_request_is_answered_as_by_azures_server(kind: str, case: Case, pair_of: Callable[[str], Pair]) -> None:
    ours, peers = (case.ask(server) for server in pair_of(kind))

    if case.differs:
        assert ours != peers, f"no longer different: {case.differs}"
        assert {name: ours.get(name) for name in case.ours} == case.ours
    else:
        assert ours == peers
