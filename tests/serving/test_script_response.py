"""Responses that run() makes itself: the server sends those that HTTP allows as they are, and refuses the others."""

import http.client
import io
import json
import string
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Response

from environment.venv import BuiltEnvironment
from serving.azure.rawhttp import AMLResponse
from serving.http import http1
from serving.http.script_response import AnswerError, parts_of
from tests.serving.conftest import start_in
from tests.serving.servers import Server

TOKEN = set(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
CONTROLS = {chr(code) for code in (*range(32), 127)} - {"\t"}


class MyResponse(AMLResponse):
    """A subclass, whose headers nobody has looked at."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__("body", 200)
        self.headers._list.append((name, value))  # type: ignore[attr-defined]


WAYS = {
    "AMLResponse": lambda name, value: AMLResponse("body", 200, {name: value}),
    "Response": lambda name, value: Response("body", headers={name: value}),
    "a list": lambda name, value: Response("body", headers=[(name, value)]),
    "a subclass": MyResponse,
}
TEXT = st.text(st.characters(max_codepoint=300), max_size=12)
NAMES = TEXT | st.text(st.sampled_from(sorted(TOKEN)), min_size=1)


@pytest.mark.parametrize("way", WAYS)
@given(name=NAMES, value=TEXT)
def test_headers_are_sent_as_given_or_refused(way: str, name: str, value: str) -> None:
    is_name, is_value = bool(name) and set(name) <= TOKEN, not set(value) & CONTROLS
    try:
        response = WAYS[way](name, value)
    except ValueError:  # Werkzeug's own check, of line ends
        assert not is_value
        return
    given = [(key, part) for key, part in response.headers.items() if key.lower() == name.lower()]
    if not is_name or any(set(part) & CONTROLS for _, part in given):
        with pytest.raises(AnswerError):
            parts_of(response)
        return

    status, content_type, headers = parts_of(response)
    start, _, body = http1.response(status, b"body", headers, content_type=content_type).partition(b"\r\n\r\n")
    read = http.client.parse_headers(io.BytesIO(start.partition(b"\r\n")[2] + b"\r\n\r\n"))

    assert body == b"body"
    assert len(read) == len(headers) + 4  # Server, Date, Content-Type and Content-Length
    assert set(map(str.lower, read)) == {key.lower() for key, _ in headers} | {
        "server",
        "date",
        "content-type",
        "content-length",
    }
    # Spaces around a value are no part of it (RFC 9110, section 5.5); Python's reader keeps those at the end.
    sent = [part.encode("latin-1", "replace").decode("latin-1").strip(" \t") for _, part in given]
    received = [part.strip(" \t") for part in read.get_all(name, [])]
    assert [part for part in received if part in sent][-len(sent) :] == sent


@given(st.integers())
def test_statuses_are_sent_as_given_or_refused(status: int) -> None:
    response = AMLResponse("body", status)
    if 200 <= status <= 599:
        assert parts_of(response)[0] == status
    else:
        with pytest.raises(AnswerError, match=f"status {status}: expected a status from 200 to 599"):
            parts_of(response)


SCRIPT = """
import json
from azureml.contrib.services.aml_response import AMLResponse
from werkzeug.wrappers import Response

VALUES = {
    "line in a name": lambda: AMLResponse("x", 200, {"X-A: b\\r\\nSet-Cookie": "sid=evil"}),
    "line in a value": lambda: AMLResponse("x", 200, {"X-A": "b\\r\\nSet-Cookie: sid=evil"}),
    "line in a type": lambda: Response("x", content_type="text/plain\\r\\nSet-Cookie: sid=evil"),
    "space in a name": lambda: Response("x", headers={"X A": "b"}),
    "empty name": lambda: Response("x", headers=[("", "b")]),
    "zero in a value": lambda: Response("x", headers=[("X-A", "a\\0b")]),
    "parts": lambda: AMLResponse(iter(["a", "b"]), 200, {"X-A:": "b"}),
}

def init():
    pass

def run(data):
    asked = json.loads(data)
    return VALUES[asked]() if asked in list(VALUES) else AMLResponse("x", asked)
"""
NAMED = (
    "line in a name",
    "line in a value",
    "line in a type",
    "space in a name",
    "empty name",
    "zero in a value",
    "parts",
)
STATUSES = (0, 1, 99, 100, 101, 103, 199, 600, 999, -1, 10**30, "abc", "", "1 No", True, False, None, 200.5)


@pytest.fixture(scope="module", params=["synchronous", "asynchronous"])
def server(
    request: pytest.FixtureRequest, script_environment: BuiltEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    source = SCRIPT if request.param == "synchronous" else SCRIPT.replace("def run", "async def run")
    with ExitStack() as stack:
        yield start_in(stack, script_environment.python, tmp_path_factory.mktemp("answers"), source)


@pytest.mark.parametrize("asked", [*NAMED, *STATUSES], ids=repr)
def test_a_response_that_cannot_be_sent_is_the_scripts_error(server: Server, asked: Any) -> None:
    before = _failures(server)
    answer = server.score(json.dumps(asked))

    assert answer.status_code == 500
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "set-cookie" not in answer.headers
    assert _failures(server) == before + 1


def _failures(server: Server) -> int:
    """Find the lines of the log that report a failure."""
    return server.stdout.count("azmlinfsrv - run() returned") + server.stdout.count("Encountered Exception")
