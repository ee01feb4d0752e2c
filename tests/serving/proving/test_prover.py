"""The prover with real servers: who is slower, fails more often or answers otherwise does not pass."""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.collection.file_format import form
from serving.collection.store import Store
from serving.proving.client import Client
from serving.proving.plan import Collected, Request, Servers
from serving.proving.recorded import newest

PROJECT = Path(__file__).resolve().parents[3]
Answering = Callable[[Any, int], tuple[int, Any]]
"""Gives the status and the answer to a request's value and its number."""


def good(value: Any, number: int) -> tuple[int, Any]:
    return 200, {"y": value.get("x", 0) * 2.0}


def slow(value: Any, number: int) -> tuple[int, Any]:
    time.sleep(0.03)  # the planted delay that is to be found
    return good(value, number)


def colder(value: Any, number: int) -> tuple[int, Any]:
    if number < 5:
        time.sleep(0.1)
    return good(value, number)


def perturbed(value: Any, number: int) -> tuple[int, Any]:
    return 200, {"y": value.get("x", 0) * 2.1}


def failing(value: Any, number: int) -> tuple[int, Any]:
    return (500, {}) if number % 20 == 19 else good(value, number)


@contextmanager
def server(answering: Answering) -> Iterator[str]:
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = answering(json.loads(body), next(numbers))
            if not status:
                self.close_connection = True
                return
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # of a prover that waited long enough
                self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def dropping(value: Any, number: int) -> tuple[int, Any]:
    return (0, {}) if number % 20 == 19 else good(value, number)


def golden(*values: int) -> list[dict[str, Any]]:
    bodies = [base64.b64encode(json.dumps({"x": x}).encode()).decode() for x in values]
    return [
        {
            "id": f"r{number}",
            "to": "scorer",
            "method": "POST",
            "path": "/score",
            "contentType": "application/json",
            "body": body,
        }
        for number, body in enumerate(bodies)
    ]


REPLAY = {"requests": 200, "maxMismatch": 0.01, "tolerance": 0.001, "ignore": []}


def proved(old: Answering | None, new: Answering, **changed: Any) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "requests": golden(1, 2, 3),
        "collected": None,
        "replay": None,
        "performance": None,
        "frontDoorMetrics": None,
        "timeoutSeconds": 60,
        **changed,
    }
    with server(new) as candidate:
        plan["new"] = {"scorer": candidate, "triton": None}
        if old is None:
            return run({**plan, "old": None})
        with server(old) as serving:
            return run({**plan, "old": {"scorer": serving, "triton": None}})


def run(plan: dict[str, Any]) -> dict[str, Any]:
    ended = prover(json.dumps(plan))
    assert ended.returncode == 0, ended.stderr
    verdict: dict[str, Any] = json.loads(ended.stdout)
    return verdict


def prover(text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving.proving"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=90, cwd=PROJECT, check=False)


def refused(verdict: dict[str, Any]) -> list[str]:
    return [figure["name"] for figure in verdict["figures"] if not figure["passed"]]


LOAD = {"concurrency": 2, "seconds": 1}


def test_a_planted_delay_is_found() -> None:
    verdict = proved(good, slow, performance={**LOAD, "maxSlowdown": 1.2})
    assert refused(verdict) == ["slowdown of p95"]
    assert [figure["name"] for figure in verdict["figures"]] == [
        "p95",
        "throughput",
        "requests that fail",
        "slowdown of p95",
    ]


@pytest.mark.parametrize("answering", [good, colder])
def test_a_good_version_passes_also_a_colder_one(answering: Answering) -> None:
    limits = {"p95Ms": 1000, "minThroughput": 1, "maxSlowdown": 10}
    assert refused(proved(good, answering, replay=REPLAY, performance={**LOAD, **limits})) == []


@pytest.mark.parametrize("answering", [failing, dropping])
def test_requests_that_fail_are_found(answering: Answering) -> None:
    verdict = proved(good, answering, performance={**LOAD, "p95Ms": 5000})
    assert refused(verdict) == ["requests that fail"]
    (failures,) = (figure for figure in verdict["figures"] if figure["name"] == "requests that fail")
    assert failures["old"] == 0
    assert 0.03 < failures["new"] < 0.07


def test_a_first_generation_is_judged_alone() -> None:
    verdict = proved(None, slow, performance={**LOAD, "p95Ms": 10, "minThroughput": 1000})
    assert refused(verdict) == ["p95", "throughput"]


def test_other_answers_are_found_and_the_largest_differences_told() -> None:
    verdict = proved(good, perturbed, replay=REPLAY, requests=golden(0, 1, 2, 3, 4))
    assert refused(verdict) == ["answers that differ"]
    assert verdict["figures"][0]["new"] == 0.8
    assert (verdict["requests"], verdict["source"]) == (5, "golden")
    assert len(verdict["differences"]) == 3
    assert {"request": "r2", "path": "$.y", "old": "4.0", "new": "4.2"} in verdict["differences"]


def test_what_is_ignored_may_differ() -> None:
    assert refused(proved(good, perturbed, replay={**REPLAY, "ignore": ["$.y"]})) == []


def test_answers_that_the_old_version_changes_itself_are_left_out() -> None:
    def random(value: Any, number: int) -> tuple[int, Any]:
        return 200, {"y": str(time.perf_counter_ns())}

    verdict = proved(random, random, replay=REPLAY)
    assert refused(verdict) == ["answers that differ"]  # nothing could be compared
    assert verdict["figures"][0]["new"] is None
    assert "name what changes in rollout.replay.ignore" in verdict["notes"][0]


def test_requests_that_both_versions_fail_to_answer_are_left_out() -> None:
    def failing_by_input(value: Any, number: int) -> tuple[int, Any]:
        return (500 if number % 2 else 503, {}) if value["x"] < 2 else good(value, number)

    def perturbed_by_input(value: Any, number: int) -> tuple[int, Any]:
        return failing_by_input(value, number) if value["x"] < 2 else perturbed(value, number)

    verdict = proved(failing_by_input, perturbed_by_input, replay=REPLAY, requests=golden(0, 1, 2, 3))
    assert verdict["figures"][0]["new"] == 1
    assert verdict["notes"] == ["2 requests are left out: both versions fail to answer them"]
    assert refused(proved(failing_by_input, failing_by_input, replay=REPLAY, requests=golden(0, 1, 2))) == []


def test_an_answer_that_is_json_in_a_text_is_compared_within_the_tolerance() -> None:
    def dumped(times: float) -> Answering:
        return lambda value, number: (200, json.dumps({"y": value["x"] * times}))

    assert refused(proved(dumped(2.0), dumped(2.0001), replay=REPLAY)) == []
    verdict = proved(dumped(2.0), dumped(2.1), replay=REPLAY)
    assert {"request": "r2", "path": "$.json().y", "old": "6.0", "new": "6.300000000000001"} in verdict["differences"]


def record(x: int, **changed: Any) -> dict[str, Any]:
    text = json.dumps({"x": x})
    return {
        "service": "web",
        "check": False,
        "status": 200,
        "requestId": f"id-{x}",
        "clientRequestId": "",
        "method": "POST",
        "contentType": "application/json",
        "input": text,
        "inputEncoding": "utf-8",
        "inputBytes": len(text),
        "output": json.dumps({"y": x * 2.0}),
        "outputEncoding": "utf-8",
        **changed,
    }


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_the_newest_recorded_requests_are_replayed(kind: str, tmp_path: Path) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    store = Store(str(tmp_path), 1 << 30)
    files = [
        ("2026-11-27", "web-host-230000000000-1", [record(1)]),
        ("2026-11-28", "web-host-090000000000-1", [record(2), record(3, status=500), record(4, check=True)]),
        ("2026-11-28", "web-host-090000000000-2", [record(5, inputBytes=999), record(6, service="other"), record(7)]),
    ]
    for day, name, records in files:
        written = form(kind)
        for one in records:
            written.add(one)
        store.write(day, f"{name}.{written.suffix}", written.take()[0])
    collected = {"url": str(tmp_path), "service": "web"}
    verdict = proved(good, perturbed, replay={**REPLAY, "requests": 2}, collected=collected)
    assert (verdict["requests"], verdict["source"]) == (2, "collected")
    assert {difference["request"] for difference in verdict["differences"]} == {"id-7", "id-2"}
    assert verdict["notes"] == ["1 recorded requests are left out: they were cut, or redacted"]


def test_values_that_the_redaction_took_are_not_told(tmp_path: Path) -> None:
    today = datetime.now(timezone.utc).date().isoformat()
    written = form("json")
    written.add(record(3, output=json.dumps({"y": 0})))
    Store(str(tmp_path), 1 << 30).write(today, "web-h-1-1.jsonl", written.take()[0])
    verdict = proved(good, perturbed, replay=REPLAY, collected={"url": str(tmp_path), "service": "web"})
    assert verdict["differences"] == [
        {"request": "id-3", "path": "$.y", "old": "(not in the record)", "new": "a number"}
    ]


def test_without_records_the_golden_requests_are_sent(tmp_path: Path) -> None:
    verdict = proved(good, good, replay=REPLAY, collected={"url": str(tmp_path / "none"), "service": "web"})
    assert (verdict["source"], refused(verdict)) == ("golden", [])
    assert verdict["notes"] == ["no request is recorded yet: golden requests are sent"]


def written(folder: Path, name: str, *records: Any) -> dict[str, str]:
    """Write records as a file of the collection, whatever their form."""
    file = folder / "date=2026-11-28" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    return {"url": str(folder), "service": "web"}


def without(one: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in names}


@pytest.mark.parametrize(
    ("changed", "example"),
    [
        (without(record(1), "inputEncoding"), "one whose inputEncoding is missing"),
        (without(record(1), "service"), "one whose service is missing"),
        (record(1, status="fine"), "one whose status is no whole number"),
        (record(1, inputEncoding="rot13"), "one whose input is neither utf-8 nor Base64"),
        (record(1, inputBytes="8"), "one whose inputBytes is no whole number"),
        (record(1, method={"a": 1}), "one whose method is no text of a header"),
        (record(1, contentType="a\nb"), "one whose contentType is no text of a header"),
        ([record(1)], "one that is no object"),
        ("{", "one that is no object"),
    ],
)
def test_a_record_of_another_form_is_left_out_and_counted(changed: Any, example: str, tmp_path: Path) -> None:
    collected = written(tmp_path, "web-h-1-1.jsonl", record(2), changed)
    verdict = proved(good, good, replay=REPLAY, collected=collected)
    assert (verdict["requests"], verdict["source"], refused(verdict)) == (1, "collected", [])
    assert verdict["notes"] == [
        f"1 records are left out: COLLECT_REDACT, or somebody else, changed their form, as {example}"
    ]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(record(1))), JSON_VALUES, max_size=4))
def test_whatever_a_hook_makes_of_a_record_the_others_are_read(changes: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = json.dumps(record(2)), json.dumps(record(1, **changes))
        collected = written(Path(folder), "web-h-1-1.jsonl", *lines)
        found = newest(Collected(**collected), 9)
    assert b'{"x": 2}' in [request.body for request in found.requests]


def test_parquet_files_without_pyarrow_make_golden_requests_serve(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow"):
        pytest.skip("pyarrow is installed")
    collected = written(tmp_path, "web-h-1-1.parquet", "PAR1")
    verdict = proved(good, good, replay=REPLAY, collected=collected)
    assert (verdict["source"], refused(verdict)) == ("golden", [])
    assert "add pyarrow<20 to environment.pipPackages" in verdict["notes"][0]
    assert verdict["notes"][1] == "no recorded request can be sent: golden requests are sent"


def test_without_anything_to_send_a_version_passes_and_is_told_so(tmp_path: Path) -> None:
    collected = {"url": str(tmp_path / "none"), "service": "web"}
    gates = {"replay": REPLAY, "performance": {**LOAD, "p95Ms": 1}}
    verdict = proved(good, perturbed, requests=[], collected=collected, **gates)
    assert (verdict["figures"], verdict["requests"]) == ([], 0)
    assert [note.split(":")[0] for note in verdict["notes"]] == [
        "replay had nothing to send",
        "performance had nothing to send",
    ]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("{", "the plan is no JSON"),
        ("[]", "plan is list; expected an object"),
        ('{"surprise": 1}', "plan has the unknown key surprise"),
        ("{}", "plan lacks old, new, requests"),
    ],
)
def test_a_plan_that_cannot_be_used_is_told_on_one_line(plan: str, words: str) -> None:
    ended = prover(plan)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("old", [None, good])
def test_a_version_that_hangs_is_refused_in_the_provers_time(old: Answering | None) -> None:
    released = threading.Event()

    def hanging(value: Any, number: int) -> tuple[int, Any]:
        released.wait(60)
        return good(value, number)

    try:
        started = time.monotonic()
        verdict = proved(old, hanging, performance={**LOAD, "p95Ms": 1, "maxSlowdown": 9}, timeoutSeconds=4)
    finally:
        released.set()
    assert time.monotonic() - started < 12
    assert refused(verdict)[:2] == ["p95", "requests that fail"]
    assert "count as failed" in verdict["notes"][0]
    (failures,) = (figure for figure in verdict["figures"] if figure["name"] == "requests that fail")
    assert failures["new"] == 1


def test_a_prover_without_a_verdict_ends_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Envoy's metrics, say
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        plan = {
            "old": None,
            "new": {"scorer": address},
            "requests": golden(1),
            "collected": None,
            "replay": None,
            "performance": {**LOAD, "p95Ms": 1},
            "frontDoorMetrics": address,
            "timeoutSeconds": 1,
        }
        ended = prover(json.dumps(plan))
    assert (ended.returncode, ended.stderr.splitlines()) == (3, ["no verdict within 1 s"])


def test_a_version_that_hangs_in_replay_is_refused_in_the_provers_time() -> None:
    released = threading.Event()

    def hanging(value: Any, number: int) -> tuple[int, Any]:
        released.wait(60)
        return good(value, number)

    try:
        verdict = proved(good, hanging, replay=REPLAY, requests=golden(*range(40)), timeoutSeconds=4)
    finally:
        released.set()
    assert refused(verdict) == ["answers that differ"]
    assert verdict["differences"][0]["path"] == "status"
    assert "the time was over" in verdict["notes"][0]


def test_an_answer_without_an_end_does_not_keep_the_prover() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(9999)
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    connection.send(b"1\r\nx\r\n")
                    time.sleep(0.05)

        thread = threading.Thread(target=trickle)
        thread.start()
        client = Client(Servers(scorer=f"http://127.0.0.1:{listening.getsockname()[1]}"), 0.5)
        answer = client.send(Request(id="a", to="scorer", path="/score", body=b"{}"))
        thread.join(10)
    assert (answer.status, answer.late, answer.failed) == (0, True, True)
    assert 0.4 < answer.seconds < 2
