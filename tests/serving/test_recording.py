"""The recorder by itself: what it writes of the copies that it is sent, and what it does when it is mistreated."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import stat
from pathlib import Path

import httpx
import pytest

from gateway.routes import _SEGMENT
from serving.flags import BAD_ARGUMENTS
from serving.recording.copied import HTTP_PATH
from tests.recorder import Recorder, recorder
from tests.waiting import eventually

INFER = "/v2/models/digits/infer"
GRPC = "/inference.GRPCInferenceService/ModelInfer"
KEY = "a-key-that-nobody-may-find"
BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.5]}]}'


def sent(to: Recorder, content: bytes = BODY, path: str = INFER, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{to.url}{path}", content=content, headers=named).status_code


def test_a_request_is_recorded_without_its_headers_and_its_query(tmp_path: Path) -> None:
    with recorder(tmp_path) as running:
        headers = {"authorization": f"Bearer {KEY}", "cookie": KEY, "x_request_id": "one", "x_api_key": KEY}
        assert sent(running, path=f"{INFER}?key={KEY}", **headers) == 200
        (record,) = running.await_records(1)
        assert KEY not in running.files()[0].read_text()
        assert KEY not in running.log.read_text()
    assert (record["path"], record["requestId"], record["service"]) == (INFER, "one", "web")
    assert (record["input"], record["inputEncoding"], record["inputBytes"]) == (BODY.decode(), "utf-8", len(BODY))
    assert (record["check"], record["headBytes"], record["method"]) == (False, None, "POST")


def test_binary_tensors_and_messages_of_grpc_are_recorded_whole(tmp_path: Path) -> None:
    tensors, message = b'{"inputs": []}' + bytes(range(256)), b"\x0a\x06digits\xff"
    with recorder(tmp_path) as running:
        sent(running, tensors, inference_header_content_length="14")
        sent(running, b"\0" + len(message).to_bytes(4, "big") + message, GRPC, content_type="application/grpc+proto")
        sent(running, x_service_check="true")
        http, grpc, check = running.await_records(3)
    assert (base64.b64decode(http["input"]), http["headBytes"]) == (tensors, 14)
    assert (base64.b64decode(grpc["input"]), grpc["path"], grpc["contentType"]) == (message, GRPC, "application/grpc")
    assert check["check"]


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        ("/v2/repository/models/digits/load", BODY, {}),
        ("/score", BODY, {}),
        (GRPC, b"\x01\0\0\0\x01a", {}),
        (GRPC, b"\0\0\0\0\x09a", {}),
        (INFER, BODY, {"inference-header-content-length": "999"}),
        (INFER, BODY, {"inference-header-content-length": "-1"}),
    ],
)
def test_what_is_no_whole_request_to_a_model_is_counted(
    path: str, content: bytes, headers: dict[str, str], tmp_path: Path
) -> None:
    with recorder(tmp_path) as running:
        assert sent(running, content, path, **headers) == 200
        sent(running)
        assert len(running.await_records(1)) == 1
        assert running.counts == {"written": 1, "dropped": 1}


def test_a_path_is_recorded_as_its_client_wrote_it(tmp_path: Path) -> None:
    # Not imported there: the front door's code is no part of a service's environment.
    assert _SEGMENT in HTTP_PATH.pattern
    path = """/v2/models/a[b]{c}|%20"'<>^`/versions/2/generate"""
    with recorder(tmp_path) as running, socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(f"POST {path}?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        (record,) = running.await_records(1)
    assert record["path"] == path


def test_broken_json_is_recorded_as_it_is(tmp_path: Path) -> None:
    with recorder(tmp_path) as running:
        sent(running, b'{"inputs": [')
        sent(running, b"\xff\xfe{")
        broken, bytes_ = running.await_records(2)
    assert (broken["input"], bytes_["inputEncoding"]) == ('{"inputs": [', "base64")


def test_one_that_is_too_large_is_refused_at_once(tmp_path: Path) -> None:
    with recorder(tmp_path, megabytes=16) as running:  # 1 MiB for each
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n".encode())
            assert b" 413 " in connection.recv(1000).splitlines()[0]
            assert connection.recv(1000) == b""
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            with contextlib.suppress(OSError):
                for _ in range(100):
                    connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        sent(running, b"x" * (1 << 20))
        running.await_records(1)
        assert running.counts == {"written": 1, "dropped": 2}


def test_however_large_the_files_may_be_a_request_has_8_mb(tmp_path: Path) -> None:
    with recorder(tmp_path, megabytes=800) as running:
        assert sent(running, b"x" * (8 << 20)) == 200
        assert sent(running, b"x" * ((8 << 20) + 1)) == 413
        running.await_records(1)
        assert running.counts == {"written": 1, "dropped": 1}


def test_half_requests_hold_no_more_than_the_recorder_may(tmp_path: Path) -> None:
    with recorder(tmp_path, megabytes=400) as running:  # 8 MiB for each, 32 MiB for all
        head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n".encode()
        connections = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(6)]
        try:
            for connection in connections:
                connection.settimeout(5)
                with contextlib.suppress(OSError):
                    connection.sendall(head + b"x" * 7_500_000)
            eventually(lambda: running.counts["dropped"] == 2)
        finally:
            for connection in connections:
                connection.close()
        sent(running)
        running.await_records(1)


def test_no_http_ends_the_connection_alone(tmp_path: Path) -> None:
    with recorder(tmp_path) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(b"\x16\x03\x01 no http\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        assert sent(running) == 200


def test_the_oldest_files_go_where_there_would_be_too_many(tmp_path: Path) -> None:
    with recorder(tmp_path, megabytes=1) as running:
        for number in range(100):  # 3.2 MB, in files of 131 KB
            sent(running, json.dumps([number, "x" * 32_000]).encode())
        eventually(lambda: running.counts["written"] == 100)
        records = running.records()
        assert sum(file.stat().st_size for file in running.files()) <= 1 << 20
    numbers = [json.loads(record["input"])[0] for record in records]
    assert len(numbers) > 20
    assert numbers == list(range(100 - len(numbers), 100))


def test_a_service_leaves_the_files_of_others_alone(tmp_path: Path) -> None:
    others = [tmp_path / "collected" / folder / "date=2026-01-01" for folder in (".", "requests/other")]
    for folder in others:
        folder.mkdir(parents=True)
        (folder / "web-h-1-1.jsonl").write_bytes(bytes(2 << 20))
    with recorder(tmp_path, megabytes=1) as running:
        sent(running)
        running.await_records(1)
    assert all((folder / "web-h-1-1.jsonl").exists() for folder in others)


def test_a_hook_redacts_and_drops_and_may_fail(tmp_path: Path) -> None:
    (tmp_path / "redaction.py").write_text(
        "import json\n"
        "def hide(document):\n"
        "    request = json.loads(document['input'])\n"
        "    if request.get('drop'): return None\n"
        "    request['name'] = '***'\n"
        "    return {**document, 'input': json.dumps(request)}\n"
    )
    with recorder(tmp_path, AML_APP_ROOT=str(tmp_path), COLLECT_REDACT="redaction:hide") as running:
        for content in (b'{"name": "Ada"}', b'{"drop": true}', b"\xff binary tensors"):
            sent(running, content)
        records = running.await_records(1)
        assert [record["input"] for record in records] == ['{"name": "***"}']
        assert running.counts == {"written": 1, "dropped": 1}  # what the hook drops is no loss
        assert "Ada" not in running.log.read_text()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"COLLECT_REDACT": "nowhere:hide"}, "COLLECT_REDACT: cannot import 'nowhere:hide'"),
        ({"COLLECT_URL": "nosuch://a"}, "COLLECT_URL: expected a folder or a URL"),
        ({"COLLECT_URL": ""}, "COLLECT_URL: is not set"),
        ({"COLLECT_SECONDS": "soon"}, "COLLECT_SECONDS: expected"),
    ],
)
def test_settings_that_cannot_be_used_end_it_with_a_line(variables: dict[str, str], told: str, tmp_path: Path) -> None:
    with recorder(tmp_path, **variables) as running:
        assert running.process.wait(10) == BAD_ARGUMENTS
        text = running.log.read_text()
    assert told in text
    assert "Traceback" not in text


def test_settings_that_are_not_the_recorders_do_not_matter(tmp_path: Path) -> None:
    with recorder(tmp_path, WORKER_COUNT="many", COLLECT_SAMPLE="0.5") as running:
        for _ in range(20):
            sent(running)
        assert len(running.await_records(20)) == 20  # the front door takes the sample


def test_a_full_disk_is_told_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "collected").write_text("no folder")  # as good as full: nothing can be written there
    with recorder(tmp_path) as running:
        for _ in range(3):
            assert sent(running) == 200
        eventually(lambda: running.counts["dropped"] == 3)
        assert sent(running) == 200
        assert "Data collection cannot write to" in running.log.read_text()
        (tmp_path / "collected").unlink()
        sent(running)
        running.await_records(1)


def test_it_writes_what_it_has_when_it_ends(tmp_path: Path) -> None:
    with recorder(tmp_path, COLLECT_SECONDS="600") as running:
        sent(running)
        assert running.records() == []
        assert running.stop() == 0
        assert len(running.records()) == 1


def test_a_slow_store_makes_nobody_wait(tmp_path: Path) -> None:
    slow = "import time, serving.collection.store as s; s._write_local = lambda *_: time.sleep(600)"
    with recorder(tmp_path, megabytes=800, code=slow) as running:
        body = b"x" * (8 << 20)
        assert {sent(running, body) for _ in range(10)} == {200}
        assert running.counts["dropped"] >= 3


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o077)  # the supervisor's
    try:
        with recorder(tmp_path) as running:
            sent(running)
            running.await_records(1)
            assert stat.S_IMODE(running.files()[0].stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_killed_one_leaves_no_half_file(tmp_path: Path) -> None:
    with recorder(tmp_path) as running:
        for _ in range(50):
            sent(running)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        running.records()  # every line is JSON
