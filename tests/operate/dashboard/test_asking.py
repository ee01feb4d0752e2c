"""What the form may ask, before a pretended front door."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from operate.dashboard.asking import Asking
from settings import read_stack_file
from targets.contract import OpenDoor
from targets.errors import ServiceError


class Door(BaseHTTPRequestHandler):
    """Takes the key "new" alone, and answers what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers["Authorization"] == "Bearer new"
        said = {
            "method": self.command,
            "path": self.path,
            "type": self.headers["Content-Type"],
            "body": body.decode(errors="replace"),
        }
        content = (
            b"\xff\xfe"
            if self.path == "/binary"
            else b"x" * 400_000
            if self.path == "/long"
            else json.dumps(said).encode()
        )
        self.send_response(200 if known else 401)
        self.send_header("X-Request-Id", "order-7")
        self.send_header("Set-Cookie", "not shown")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def make(tmp_path: Path, port: int) -> Any:
    """Make what asks, with the outputs that are read one after the other."""
    (tmp_path / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\n")
    (tmp_path / "stacks").mkdir()
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "cat.png").write_bytes(b"\x89PNG\xff")
    golden = {"requestFile": "cat.png", "contentType": "image/png", "response": "cat"}
    (tmp_path / "scripts" / "score.golden.json").write_text(json.dumps(golden))
    (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(
        "config:\n  serviceName: web\n  models: ['m:1']\n  entryScript: score.py\n  sourceDirectory: scripts\n"
        f"  registry: {tmp_path}/registry\n"
    )
    settings = read_stack_file(tmp_path, "mine", form_alone=True)

    def made(*outputs: dict[str, Any]) -> Asking:
        read = iter(outputs)
        return Asking(settings, lambda: next(read), lambda: OpenDoor(port=port, statistics_port=1, serving=1))

    return made


NEW = {"primaryKey": "new", "clientKeys": {"checkout": {"primary": "other"}}}


def test_it_offers_what_is_golden_and_the_clients_and_no_key(make: Any) -> None:
    shown = make(NEW).shown()
    assert (shown["service"], shown["clients"], shown["described"]) == ("web", ["default", "checkout"], False)
    (golden,) = shown["golden"]
    assert (golden["name"], golden["path"], golden["contentType"]) == ("/score", "/score", "image/png")
    assert (golden["body"], golden["bytes"]) == (None, 5)  # no text, so the form cannot show it
    assert "other" not in json.dumps(shown)


def test_ones_own_request_goes_as_it_was_written(make: Any) -> None:
    asked = {"method": "POST", "path": "/score?x=1", "contentType": "text/plain", "body": "grün", "client": "default"}
    answer = make(NEW).ask(asked)
    assert json.loads(answer["body"]) == {"method": "POST", "path": "/score?x=1", "type": "text/plain", "body": "grün"}
    assert (answer["status"], answer["headers"], answer["wrong"]) == (200, {"x-request-id": "order-7"}, None)
    assert json.loads(make(NEW).ask({"method": "GET", "path": "/v2", "body": "x"})["body"])["body"] == ""


def test_no_path_leads_to_another_server(make: Any) -> None:
    for path in ("//example.org/x", "/\\example.org/x", "/@example.org/", "/http://example.org"):
        assert make(NEW).ask({"method": "GET", "path": path})["status"] == 200  # this door answered
    for path in ("http://example.org/", "example.org", "", "@example.org/"):
        with pytest.raises(ServiceError, match="a path that starts with '/'"):
            make(NEW).ask({"method": "GET", "path": path})
    with pytest.raises(ServiceError, match="expected GET or POST, and a path"):
        make(NEW).ask({"method": "DELETE", "path": "/"})


def test_a_key_that_was_rotated_meanwhile_is_read_anew(make: Any) -> None:
    asking = make({"primaryKey": "old"}, NEW)
    assert asking.ask({"method": "GET", "path": "/"})["status"] == 200
    assert make(NEW, NEW).ask({"method": "GET", "path": "/", "client": "checkout"})["status"] == 401
    with pytest.raises(ServiceError, match="this client has no key of its own"):
        asking.ask({"method": "GET", "path": "/", "client": "nobody"})


def test_a_golden_answer_is_judged(make: Any) -> None:
    answer = make(NEW).ask({"golden": "/score"})
    assert answer["status"] == 200
    (wrong,) = answer["wrong"]
    assert 'expected "cat", received' in wrong
    with pytest.raises(ServiceError, match="not there any more"):
        make(NEW).ask({"golden": "/nothing"})


def test_an_answer_that_is_long_or_no_text_is_shown_as_far_as_it_can_be(make: Any) -> None:
    assert make(NEW).ask({"method": "GET", "path": "/binary"})["body"] == "(2 bytes that are no text)"
    long = make(NEW).ask({"method": "GET", "path": "/long"})
    assert long["bytes"] == 400_000
    assert long["body"].endswith("(cut off here)")
    assert len(long["body"]) < 300_000


def test_a_front_door_that_does_not_answer_is_told(make: Any, port: int) -> None:
    asking = make(NEW)
    asking._door = lambda: OpenDoor(port=1, statistics_port=1, serving=1)
    with pytest.raises(ServiceError, match="the front door cannot be asked"):
        asking.ask({"method": "GET", "path": "/"})
