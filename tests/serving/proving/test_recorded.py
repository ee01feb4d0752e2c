"""What the prover sends: the newest recorded requests, golden ones where there are none, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.collection.file_format import form
from serving.collection.store import Store
from serving.proving.client import Client
from serving.proving.plan import Collected, Servers
from serving.proving.recorded import Records, newest
from serving.recording.copied import GRPC_PATH
from tests.serving.proving.trial import LOAD, REPLAY, good, perturbed, proved, refused, server


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


def written(folder: Path, name: str, *records: Any, below: str = ".") -> dict[str, str]:
    """Write records as a file of the collection, whatever their form."""
    file = folder / below / "date=2026-11-28" / name
    file.parent.mkdir(parents=True, exist_ok=True)
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


def to_triton(folder: Path, *changed: dict[str, Any]) -> Records:
    """Read records of requests to Triton that differ from a good one."""
    whole = record(1, path="/v2/models/m/infer", headBytes=None)
    written(folder, "web-h-1-1.jsonl", *({**whole, **change} for change in changed), below="requests/web")
    return newest(Collected(str(folder), "web", ("triton",)), 9)


def test_a_broken_message_of_grpc_is_told_as_the_clients(tmp_path: Path) -> None:
    broken = {"path": GRPC_PATH, "input": "no", "inputBytes": 2}
    found = to_triton(tmp_path, broken, broken, {})
    assert len(found.requests) == 1
    assert list(found.notes()) == ["2 calls of gRPC are left out: they are no request with tensors"]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v2/models/a[b]{c}|%20/infer", "/v2/models/a[b]{c}|%20/infer"),
        ("/v2/models/a b\n\x7f\xe9\u20ac/infer", "/v2/models/a%20b%0A%7F%E9%3F/infer"),
    ],
)
def test_a_path_is_sent_as_it_was_but_for_what_no_client_can_send(path: str, sent: str, tmp_path: Path) -> None:
    (request,) = to_triton(tmp_path, {"path": path}).requests
    assert request.path == sent
    with server(good) as address:
        assert Client(Servers(triton=address), 10).send(request).status == 200


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


def test_a_library_that_aborts_at_the_end_takes_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "pyarrow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "parquet.py").write_text(
        "import atexit, json, os\n"
        "atexit.register(os.abort)\n"  # as pyarrow does now and then
        "class read_table:\n"
        "    def __init__(self, file): self.rows = [json.loads(line) for line in file]\n"
        "    def to_pylist(self): return self.rows\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    collected = written(tmp_path, "web-h-1-1.parquet", record(1), record(2))
    verdict = proved(good, good, replay=REPLAY, collected=collected)
    assert (verdict["requests"], verdict["source"], verdict["notes"]) == (2, "collected", [])


def test_without_anything_to_send_a_version_passes_and_is_told_so(tmp_path: Path) -> None:
    collected = {"url": str(tmp_path / "none"), "service": "web"}
    gates = {"replay": REPLAY, "performance": {**LOAD, "p95Ms": 1}}
    verdict = proved(good, perturbed, requests=[], collected=collected, **gates)
    assert (verdict["figures"], verdict["requests"]) == ([], 0)
    assert [note.split(":")[0] for note in verdict["notes"]] == [
        "replay had nothing to send",
        "performance had nothing to send",
    ]
