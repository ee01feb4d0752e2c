"""What the form may ask, before a pretended front door."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from operate.dashboard.asking import Asking
from operate.dashboard.errors import FormError
from serving.script import swagger
from settings.load import read_stack_file
from settings.schema import Settings
from targets.contract import OpenDoor
from targets.errors import ServiceError
from tests.certificates import make_certificate

DEEP = b"[" * 100_000
TENSOR = b'{"outputs": [{"name": "y", "datatype": "BYTES", "parameters": {"binary_data_size": 6}}]}'
NO_PARAMETERS = b'{"outputs": [{"name": "y", "parameters": null}]}'
BODIES = {
    "/binary": b"\xff\xfe",
    "/long": b"x" * 400_000,
    "/huge": b"x" * 9_000_000,
    "/deep": DEEP,
    "/truncated": TENSOR + b"\xff\x00",
    "/no-parameters": NO_PARAMETERS + b"\xff\xfe",
}
JSON_PART = {"/truncated": TENSOR, "/no-parameters": NO_PARAMETERS}


class Door(BaseHTTPRequestHandler):
    """Takes the key "new" alone, and answers what it was asked."""

    asked: list[str] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers["Authorization"] == "Bearer new"
        said = {
            "method": self.command,
            "path": self.path,
            "type": self.headers["Content-Type"],
            "body": body.decode(errors="replace"),
        }
        content = BODIES.get(self.path, json.dumps(said).encode())
        self.send_response(200 if known else 401)
        self.send_header("X-Request-Id", "order-7")
        self.send_header("Set-Cookie", "not shown")
        if self.path in JSON_PART:
            self.send_header("Inference-Header-Content-Length", str(len(JSON_PART[self.path])))
        if self.path == "/broken":
            self.send_header("Content-Length", "1000")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)
            while self.path == "/endless":
                self.wfile.write("ü".encode()[:1])
                time.sleep(0.05)
                self.wfile.write("ü".encode()[1:])

    do_GET = do_POST

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    Door.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def make(tmp_path: Path, port: int) -> Any:
    """Make what asks, with the outputs that are read one after the other, the last again and again."""
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
    file = tmp_path / "stacks" / "Pulumi.mine.yaml"

    def made(*outputs: dict[str, Any] | Exception, more: str = "") -> Asking:
        file.write_text(file.read_text() + more)
        read = chain(outputs, repeat(outputs[-1]))

        def one() -> dict[str, Any]:
            found = next(read)
            if isinstance(found, Exception):
                raise found
            return found

        def settings() -> Settings:
            return read_stack_file(tmp_path, "mine", form_alone=True)

        return Asking(settings, one, lambda: OpenDoor(port=port, statistics_port=1, serving=1))

    return made


NEW = {"primaryKey": "new", "clientKeys": {"checkout": {"primary": "other"}}}


def test_it_offers_what_is_golden_and_the_clients_and_no_key(make: Any) -> None:
    shown = make(NEW).shown()
    assert (shown["service"], shown["clients"], shown["described"]) == ("web", ["default", "checkout"], False)
    (golden,) = shown["golden"]
    assert (golden["name"], golden["path"], golden["contentType"]) == ("/score", "/score", "image/png")
    assert (golden["body"], golden["bytes"]) == (None, 5)  # no text, so the form cannot show it
    assert "other" not in json.dumps(shown)


def test_after_an_update_it_offers_what_is_there_then(make: Any, tmp_path: Path) -> None:
    asking = make({"primaryKey": "new"}, NEW | {"swaggerUri": "http://..."})
    (tmp_path / "scripts" / "score.golden.json").write_text('{"request": {"row": 7}, "response": 1}')
    shown = asking.shown()
    assert (shown["clients"], shown["described"]) == (["default", "checkout"], True)
    assert shown["golden"][0]["body"] == '{"row": 7}'


def test_what_an_update_made_may_be_asked_by_a_page_that_was_loaded_before(make: Any, tmp_path: Path) -> None:
    file = tmp_path / "scripts" / "score.golden.json"
    golden = file.read_text()
    file.unlink()
    asking = make({"primaryKey": "new"}, {"primaryKey": "new", "clientKeys": {"late": {"primary": "new"}}})
    assert asking.ask({"method": "GET", "path": "/", "client": "late"})["status"] == 200
    file.write_text(golden)
    assert asking.ask({"golden": "/score"})["status"] == 200


def test_clients_with_a_certificate_are_not_offered(make: Any, tmp_path: Path) -> None:
    certified = (
        f"  clients: [{{name: checkout}}, {{name: edge, certificate: {{caFile: {tmp_path}/ca, subject: CN=edge, "
        "withKey: true}}]\n"
    )
    both = NEW | {"clientKeys": {"checkout": {"primary": "new"}, "edge": {"primary": "new"}}}
    assert make(both, more=certified).shown()["clients"] == ["default", "checkout"]


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
        with pytest.raises(FormError, match="a path that starts with '/'"):
            make(NEW).ask({"method": "GET", "path": path})
    with pytest.raises(FormError, match="expected GET or POST, and a path"):
        make(NEW).ask({"method": "DELETE", "path": "/"})
    with pytest.raises(FormError, match="the path cannot be sent"):
        make(NEW).ask({"method": "GET", "path": "/\x00"})


def test_a_key_that_was_rotated_meanwhile_is_read_anew(make: Any) -> None:
    asking = make({"primaryKey": "old"}, NEW)
    assert asking.ask({"method": "GET", "path": "/"})["status"] == 200
    assert make(NEW, NEW).ask({"method": "GET", "path": "/", "client": "checkout"})["status"] == 401
    with pytest.raises(FormError, match="this client has no key of its own"):
        asking.ask({"method": "GET", "path": "/", "client": "nobody"})


def test_a_switch_to_keys_is_followed(make: Any, tmp_path: Path) -> None:
    file = tmp_path / "stacks" / "Pulumi.mine.yaml"
    closed = file.read_text()
    asking = make(NEW, more="  deployment: {authEnabled: false}\n")
    assert asking.shown()["clients"] == []
    file.write_text(closed)
    assert asking.ask({"method": "GET", "path": "/"})["status"] == 200
    assert asking.shown()["clients"] == ["default", "checkout"]


def test_a_switch_to_tls_is_followed(make: Any, tmp_path: Path, port: int) -> None:
    asking = make(NEW)
    file = tmp_path / "stacks" / "Pulumi.mine.yaml"
    certificate, key = make_certificate(tmp_path, "localhost")
    file.write_text(file.read_text() + f"  tls: {{certificateFile: {certificate}, keyFile: {key}}}\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Door) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asking._door = lambda: OpenDoor(port=server.server_port, statistics_port=1, serving=1)
        assert asking.ask({"method": "POST", "path": "/score", "body": "{}"})["status"] == 200
        server.shutdown()
    assert Door.asked == ["/score"]


@pytest.mark.parametrize(
    ("outputs", "more"),
    [
        (({"primaryKey": "old"},), ""),
        (({"primaryKey": "old"}, ServiceError("gone")), ""),
        (({"primaryKey": "old"}, NEW), "  deployment: {authEnabled: false}\n"),
    ],
    ids=["the same key", "no key to read", "no key asked"],
)
def test_a_request_that_is_refused_is_sent_once(make: Any, outputs: tuple[Any, ...], more: str) -> None:
    answer = make(*outputs, more=more).ask({"method": "POST", "path": "/score", "body": "{}"})
    assert (answer["status"], Door.asked) == (401, ["/score"])


def test_a_golden_answer_is_judged(make: Any) -> None:
    answer = make(NEW).ask({"golden": "/score"})
    assert answer["status"] == 200
    (wrong,) = answer["wrong"]
    assert 'expected "cat", received' in wrong
    with pytest.raises(FormError, match="not there any more"):
        make(NEW).ask({"golden": "/nothing"})


def test_an_answer_that_is_long_or_no_text_is_shown_as_far_as_it_can_be(make: Any) -> None:
    assert make(NEW).ask({"method": "GET", "path": "/binary"})["body"] == "(2 bytes that are no text)"
    long = make(NEW).ask({"method": "GET", "path": "/long"})
    assert long["bytes"] == 400_000
    assert long["body"].endswith("(cut off here)")
    assert len(long["body"]) < 300_000


def test_an_answer_is_read_as_far_as_it_is_shown(make: Any) -> None:
    huge = make(NEW).ask({"method": "GET", "path": "/huge"})
    assert huge["bytes"] == 8 * 1024 * 1024
    assert huge["body"].endswith("x\n(cut off here)")


def test_an_answer_without_an_end_is_cut_off(make: Any) -> None:
    began = time.monotonic()
    endless = make(NEW, more="  deployment: {scoringTimeoutMs: 1000}\n").ask({"method": "GET", "path": "/endless"})
    assert time.monotonic() - began < 10
    assert endless["status"] == 200
    assert endless["body"].rstrip("ü").startswith('{"method"')
    assert endless["body"].endswith("ü\n(cut off here)")


def test_an_answer_that_broke_off_is_shown_as_far_as_it_came(make: Any) -> None:
    broken = make(NEW).ask({"method": "GET", "path": "/broken"})
    assert (broken["status"], broken["body"].endswith("\n(cut off here)")) == (200, True)


def test_a_golden_answer_that_is_cut_off_is_not_judged(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BODIES, "/score", b"x" * 9_000_000)
    assert make(NEW).ask({"golden": "/score"})["wrong"] == [
        "the answer is cut off, so nobody can say whether it is right"
    ]


@pytest.mark.parametrize("path", ["/deep", "/truncated", "/no-parameters"])
def test_an_answer_that_is_not_what_it_says_is_shown(make: Any, path: str) -> None:
    answer = make(NEW).ask({"method": "GET", "path": path})
    assert answer["status"] == 200
    assert answer["body"]


def test_a_golden_answer_that_cannot_be_read_is_not_right(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BODIES, "/score", DEEP)
    (wrong,) = make(NEW).ask({"golden": "/score"})["wrong"]
    assert "(RecursionError)" in wrong


def test_a_body_of_half_a_character_is_told(make: Any) -> None:
    with pytest.raises(FormError, match=r"character 2 of the body is half of one \(\\ud800\).*expected whole"):
        make(NEW).ask({"path": "/", "body": "x\ud800"})


def test_a_description_that_is_no_json_is_told(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (b"<html>", DEEP, b"[]"):
        monkeypatch.setitem(BODIES, "/swagger.json?version=3", body)
        with pytest.raises(ServiceError, match=r"/swagger.json answers with other than a JSON object"):
            make(NEW).description()


def test_the_description_has_the_address_of_the_service_and_no_other(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"openapi": "3.0.3", "servers": [{"url": "https://elsewhere.example"}], "paths": {}}
    monkeypatch.setitem(BODIES, "/swagger.json?version=3", json.dumps(document).encode())
    asking = make(NEW | {"swaggerUri": "http://localhost:6789/swagger.json"})
    assert asking.description() == document | {"servers": [{"url": "http://localhost:6789"}]}


def _described(schema: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "paths": {}, "components": {"schemas": {"ServiceInput": schema}}}


@pytest.mark.parametrize(
    ("request_", "schema", "expected"),
    [
        ({"row": 7}, swagger._UNTYPED, {"type": "object", "example": {"row": 7}}),
        ([[1.5]], swagger._UNTYPED, {"example": [[1.5]]}),
        ([float("nan")], swagger._UNTYPED, swagger._UNTYPED),
        ({"row": 7}, {"type": "object", "example": {"own": 1}}, {"type": "object", "example": {"own": 1}}),
        ({"row": 7}, ["no schema"], ["no schema"]),
    ],
    ids=["object", "list", "no JSON of browsers", "declared", "another form"],
)
def test_the_golden_request_is_the_example_of_a_script_that_declares_none(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: Any, schema: Any, expected: Any
) -> None:
    (tmp_path / "scripts" / "score.golden.json").write_text(json.dumps({"request": request_, "response": 1}))
    monkeypatch.setitem(BODIES, "/swagger.json?version=3", json.dumps(_described(schema)).encode())
    assert make(NEW).description() | {"servers": []} == _described(expected) | {"servers": []}


def test_a_golden_request_that_is_no_json_is_no_example(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for document in (_described(swagger._UNTYPED), {"components": []}):
        monkeypatch.setitem(BODIES, "/swagger.json?version=3", json.dumps(document).encode())
        assert make(NEW).description() | {"servers": []} == document | {"servers": []}


def test_a_front_door_that_does_not_answer_is_told(make: Any, port: int) -> None:
    asking = make(NEW)
    asking._door = lambda: OpenDoor(port=1, statistics_port=1, serving=1)
    with pytest.raises(ServiceError, match="the front door cannot be asked"):
        asking.ask({"method": "GET", "path": "/"})
