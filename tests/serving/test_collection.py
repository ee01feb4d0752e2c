"""Data collection: which records the server writes, where, how many, and which never."""

import base64
import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from environment.venv import BuiltEnvironment
from serving.probing.golden_check import score_problems
from serving.probing.probe import asking
from serving.proving.client import Client
from serving.proving.plan import Request, Servers
from tests.serving import servers
from tests.serving.conftest import StartServer
from tests.serving.servers import PROJECT, Server
from tests.waiting import eventually

SCRIPT = """
import json

def init():
    pass

def run(data):
    value = json.loads(data)
    if value == "fail":
        raise RuntimeError("inside")
    return {"value": value}
"""
SCRIPT_ASYNC = SCRIPT.replace("def ", "async def ")
KEY = "a-secret-key"


def records(server: Server, folder: Path | None = None) -> list[dict[str, Any]]:
    """Stop the server, and read the records that it has collected."""
    assert server.stop() == 0
    folder = folder or server.folder / "collected"
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        assert path.parent.name == f"date={datetime.now(timezone.utc).date().isoformat()}"
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def table_of(server: Server, environment: BuiltEnvironment) -> list[dict[str, Any]]:
    """Read the records of its only Parquet file."""
    (path,) = server.folder.rglob("*.parquet")
    read = "import json, sys, pyarrow.parquet; print(json.dumps(pyarrow.parquet.read_table(sys.argv[1]).to_pylist()))"
    command = [str(environment.python), "-c", read, str(path)]
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    )
    return found


def test_nothing_is_collected_unless_it_is_asked_for(start: StartServer) -> None:
    server = start(SCRIPT)
    server.score("1")
    before = len(server.children())
    server.stop()

    assert before == 2  # the front process and a worker
    assert [path.name for path in server.folder.iterdir() if path.is_dir() and path.name != "__pycache__"] == []


@pytest.mark.parametrize("source", [SCRIPT, SCRIPT_ASYNC], ids=["synchronous", "asynchronous"])
def test_inputs_outputs_ids_and_times_are_written(source: str, start: StartServer) -> None:
    variables = {"COLLECT_URL": "collected", "SERVICE_NAME": "digits", "SERVICE_VERSION": "3", "WORKER_COUNT": "2"}
    server = start(source, variables=variables)
    headers = {"Authorization": f"Bearer {KEY}", "x-request-id": "r", "x-ms-client-request-id": "c"}
    server.score('{"é": 1}', headers=headers)
    server.score('"fail"')
    server.get("/score?a=1")
    server.get("/nothing")

    first, failed, query = records(server)

    assert datetime.fromisoformat(first.pop("time")).tzinfo == timezone.utc
    assert 0 < first.pop("durationMs") < 1000
    assert first == {
        "service": "digits",
        "version": "3",
        "requestId": "r",
        "clientRequestId": "c",
        "check": False,
        "status": 200,
        "method": "POST",
        "contentType": "",
        "input": '{"é": 1}',
        "inputEncoding": "utf-8",
        "inputBytes": 9,
        "output": '{"value":{"é":1}}',
        "outputEncoding": "utf-8",
        "outputBytes": 18,
    }
    assert (failed["status"], failed["input"]) == (500, '"fail"')
    assert (query["status"], query["method"], query["input"]) == (200, "GET", "a=1")
    assert not any(KEY in path.read_text() for path in server.folder.rglob("*.jsonl"))


def test_the_deployments_own_golden_requests_are_marked(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected"})
    server.score("1")
    assert score_problems(asking(server.url, 30), server.url, {"request": 2, "response": {"value": 2}}) == []

    assert [(record["input"], record["check"]) for record in records(server)] == [("1", False), ("2", True)]


def test_the_requests_of_a_rollouts_prover_are_not_recorded_and_no_client_can_be_left_out(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected"})
    client = Client(Servers(scorer=server.url), 30)
    for number in range(20):
        assert client.send(Request(id="a", to="scorer", path="/score", body=b"%d" % number)).status == 200
    through_the_front_door = {"x-service-check": "unrecorded", "x-forwarded-for": "192.0.2.1"}
    server.score("77", headers=through_the_front_door)

    assert [(record["input"], record["check"]) for record in records(server)] == [("77", True)]


def test_a_copy_of_a_request_is_not_recorded(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected"})
    server.score("1", headers={"x-mirrored": "1", "x-forwarded-for": "192.0.2.1"})
    server.score("2", headers={"x-forwarded-for": "192.0.2.1"})

    assert [record["input"] for record in records(server)] == ["2"]


def test_a_share_of_the_requests_is_collected(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected", "COLLECT_SAMPLE": "0.25"})
    with httpx.Client() as client:
        for number in range(400):
            client.post(server.url + "/score", content=str(number))

    assert 50 < len(records(server)) < 150


def test_large_inputs_are_cut_and_say_so(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected", "COLLECT_MAX_RECORD_BYTES": "21"})
    server.score('"123456789é123"')

    (record,) = records(server)

    assert record["input"] == '"123456789'  # ten bytes, of which the last would have been half a character
    assert record["inputBytes"] == 16
    assert record["outputBytes"] == len('{"value":"123456789é123"}'.encode())


def test_a_day_has_a_limit(start: StartServer) -> None:
    variables = {"COLLECT_URL": "collected", "COLLECT_MAX_DAY_BYTES": "1000", "COLLECT_SECONDS": "1"}
    server = start(SCRIPT, variables=variables)
    server.score("1")
    eventually(lambda: server.metric("serving_collected_records_total") == 1, "the first file")
    server.score(json.dumps("a" * 2000))
    eventually(lambda: server.metric("serving_collection_dropped_records_total") == 1, "the refusal")

    assert "COLLECT_MAX_DAY_BYTES is reached" in server.stdout
    assert len(records(server)) == 1


def test_a_hook_changes_records_and_leaves_some_out(start: StartServer) -> None:
    hook = """
def clean(record):
    if "private" in record["input"]:
        return None
    if "broken" in record["input"]:
        raise RuntimeError("the hook is broken")
    record["input"] = record["input"].replace("Alice", "…")
    return record
"""
    variables = {"COLLECT_URL": "collected", "COLLECT_REDACT": "redaction:clean"}
    server = start(SCRIPT, variables=variables, files={"redaction.py": hook})
    for content in ('"Alice"', '"private"', '"broken"'):
        server.score(content)

    (record,) = records(server)

    assert record["input"] == '"…"'
    assert "the hook is broken" in server.stdout
    assert "broken" not in "".join(path.read_text() for path in server.folder.rglob("*.jsonl"))


def test_bytes_are_written_as_base64_and_parquet_on_request(
    start: StartServer, script_environment: BuiltEnvironment
) -> None:
    source = """
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        return AMLResponse(request.get_data()[::-1], 200)
    """
    server = start(source, variables={"COLLECT_URL": "collected", "COLLECT_FORMAT": "parquet"})
    server.score(b"\xff\x00a")
    assert server.stop() == 0

    (record,) = table_of(server, script_environment)
    assert (record["inputEncoding"], base64.b64decode(record["input"])) == ("base64", b"\xff\x00a")
    assert base64.b64decode(record["output"]) == b"a\x00\xff"


def test_a_url_of_fsspec_is_written_to(start: StartServer, tmp_path: Path) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": f"file://{tmp_path}/elsewhere"})
    server.score("1")

    assert len(records(server, tmp_path / "elsewhere")) == 1


FORK_UNSAFE = """
import fsspec
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.implementations.local import LocalFileSystem

class Store(AsyncFileSystem):
    # As clients of object stores do, it refuses another process than the one that made it.
    protocol = "store"

    async def _makedirs(self, path, exist_ok=False):
        LocalFileSystem().makedirs(path, exist_ok=exist_ok)

    def makedirs(self, path, exist_ok=False):
        sync(self.loop, self._makedirs, path, exist_ok)

    def du(self, path, **_):
        return LocalFileSystem().du(path)

    def _open(self, path, mode="rb", **_):
        assert self.loop
        return open(path, mode)

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("store://")

fsspec.register_implementation("store", Store)
"""


def test_an_object_store_is_opened_in_the_process_that_writes(start: StartServer, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FORK_UNSAFE)
    variables = {"COLLECT_URL": f"store://{tmp_path}/bucket", "PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    server = start(SCRIPT, variables=variables)
    server.score("1")

    assert len(records(server, tmp_path / "bucket")) == 1


@pytest.mark.parametrize("url", ["nosuch://user:a-secret-key@host", "ftp://user:a-secret-key@127.0.0.1:1/x"])
def test_a_url_that_fails_shows_no_password(url: str, start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": url, "COLLECT_SECONDS": "1"}, wait=False)
    if url.startswith("nosuch"):
        assert server.process.wait(20) == 1
    else:
        eventually(lambda: servers.answers(server.url), "the server")
        server.score("1")
        eventually(lambda: server.metric("serving_collection_dropped_records_total") == 1, "the loss")
        assert "Data collection cannot write to ftp://" in server.stdout

    assert "COLLECT_URL" in server.stderr or "ftp://" in server.stdout
    assert "a-secret-key" not in server.stdout + server.stderr


def test_what_a_dead_collector_had_not_written_is_counted(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected"})
    collector = server.children()[0]
    server.score("1")
    server.score("2")
    eventually(lambda: server.metric("serving_collection_held_records") == 2, "both records")
    collector.kill()

    eventually(lambda: server.metric("serving_collection_dropped_records_total") == 2, "the count")


BAD_RECORDS = """
import json

def spoil(record):
    asked = json.loads(record["input"])
    if asked == "a set":
        return {**record, "input": {1}}
    if asked == "no dict":
        return 5
    if asked == "exit":
        raise SystemExit("no more")
    if asked == "another type":
        return {**record, "status": "none"}
    if asked == "one more":
        return {**record, "more": "later"}
    if asked == "nothing in it":
        return {**record, "more": {}}
    return record
"""


def test_a_record_that_cannot_be_written_costs_no_other_its_place(start: StartServer) -> None:
    variables = {"COLLECT_URL": "collected", "COLLECT_REDACT": "spoiled:spoil"}
    server = start(SCRIPT, variables=variables, files={"spoiled.py": BAD_RECORDS})
    for asked in ("first", "a set", "no dict", "exit", "last"):
        server.score(json.dumps(asked))
    eventually(lambda: server.metric("serving_collection_dropped_records_total") == 3, "the count")
    eventually(lambda: server.metric("serving_collection_held_records") == 2, "the others")

    assert [record["input"] for record in records(server)] == ['"first"', '"last"']
    assert "is not JSON serializable" in server.stdout
    assert "expected a dict or None from the hook, received int" in server.stdout
    assert "SystemExit: no more" in server.stdout


def test_a_table_has_every_key_and_the_records_that_fit(
    start: StartServer, script_environment: BuiltEnvironment
) -> None:
    variables = {"COLLECT_URL": "collected", "COLLECT_REDACT": "spoiled:spoil", "COLLECT_FORMAT": "parquet"}
    server = start(SCRIPT, variables=variables, files={"spoiled.py": BAD_RECORDS})
    server.score('"first"')
    server.score('"one more"')
    assert server.stop() == 0
    first, more = table_of(server, script_environment)
    assert (first["input"], first["more"], more["more"]) == ('"first"', None, "later")

    server = start(SCRIPT, variables=variables, files={"spoiled.py": BAD_RECORDS})
    for path in server.folder.rglob("*.parquet"):
        path.unlink()
    for asked in ("first", "another type", "a set", "nothing in it", "one more"):
        server.score(json.dumps(asked))
    assert server.stop() == 0
    assert [record["input"] for record in table_of(server, script_environment)] == ['"first"', '"one more"']
    assert server.stdout.count("A record cannot be collected, and is dropped: ") == 3


def test_a_disk_that_is_full_leaves_no_half_of_a_file(start: StartServer) -> None:
    # Files of this process may grow no larger than this: the disk is full in the middle of a file.
    hook = """
import resource

def limit(record):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return record
"""
    variables = {"COLLECT_URL": "collected", "COLLECT_REDACT": "limited:limit", "COLLECT_SECONDS": "1"}
    server = start(SCRIPT, variables=variables, files={"limited.py": hook})
    server.score(json.dumps("a" * 30_000))
    eventually(lambda: server.metric("serving_collection_dropped_records_total") == 1, "the loss")

    assert [path for path in (server.folder / "collected").rglob("*") if path.is_file()] == []
    server.score("1")
    assert len(records(server)) == 1


def test_a_collector_that_cannot_write_hurts_no_request(start: StartServer) -> None:
    variables = {"COLLECT_URL": "/proc/nowhere", "COLLECT_SECONDS": "1"}
    server = start(SCRIPT, variables=variables)
    assert server.score("1").status_code == 200
    eventually(lambda: server.metric("serving_collection_dropped_records_total") == 1, "the count")

    assert server.score("2").status_code == 200
    assert "Data collection cannot write to /proc/nowhere" in server.stdout


def test_a_collector_that_dies_is_replaced(start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected"})
    collector = next(
        child for child in server.children() if child.num_threads() == 1 and child.pid == server.children()[0].pid
    )
    collector.kill()
    eventually(lambda: "The collector process" in server.stderr, "the new collector")
    server.score("1")

    assert len(records(server)) == 1


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("COLLECT_URL", "nosuch://bucket", "COLLECT_URL: expected a folder or a URL that fsspec knows"),
        ("COLLECT_REDACT", "nothing:here", "COLLECT_REDACT: cannot import 'nothing:here': ModuleNotFoundError"),
        (
            "COLLECT_REDACT",
            "nothing",
            "COLLECT_REDACT: expected a function, as in 'module:function', received 'nothing'",
        ),
        ("COLLECT_SAMPLE", "2", "COLLECT_SAMPLE: expected a share of the requests, above 0 and up to 1, received '2'"),
        ("COLLECT_FORMAT", "csv", "COLLECT_FORMAT: expected 'jsonl' or 'parquet', received 'csv'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(variable: str, value: str, expected: str, start: StartServer) -> None:
    server = start(SCRIPT, variables={"COLLECT_URL": "collected", variable: value}, wait=False)

    assert server.process.wait(20) == 1
    assert expected in server.stderr
