"""The readiness probe, against a real Triton and a real server."""

import copy
import http.server
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from serving.probing import probe
from targets.machine.ports import free_ports
from tests.serving.conftest import StartServer
from tests.serving.servers import PROJECT, Server

GOLDEN = json.loads((PROJECT / "model_repository" / "triton" / "digits" / "golden.json").read_text())


def spec(triton: Server, *, name: str = "digits", version: int = 1, golden: Any = None) -> dict[str, Any]:
    return {"triton": {"url": triton.url, "models": [{"name": name, "version": version, "golden": golden}]}}


def test_a_loaded_model_with_its_golden_answer_is_ready(triton: Server) -> None:
    assert probe.run(spec(triton, golden=GOLDEN)) == []


def test_a_wrong_golden_answer_is_a_problem_that_names_the_value(triton: Server) -> None:
    golden = copy.deepcopy(GOLDEN)
    wrong = golden["response"]["outputs"][0]
    wrong["data"][0] += 1

    (problem,) = probe.run(spec(triton, golden=golden))

    assert f"output '{wrong['name']}', value 0: expected {wrong['data'][0]!r}" in problem


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("digits", 7, "Triton knows these versions: 1 (READY)"),
        ("nothing", 1, "Triton's repository holds no such model"),
        ("bidaf-9", 1, "received"),
    ],
)
def test_a_model_that_is_not_loaded_is_a_problem(name: str, version: int, expected: str, triton: Server) -> None:
    (problem,) = probe.run(spec(triton, name=name, version=version))

    assert problem.startswith(f"model {name} version {version}: GET {triton.url}/v2/models/{name}/versions/{version}")
    assert expected in problem


def test_a_package_that_a_python_model_lacks_is_named_with_what_to_do() -> None:
    reason = "Internal: ModuleNotFoundError: No module named 'pandas'\n\nAt:\n  /models/m/1/model.py(1): <module>\n"
    model = {"name": "m", "version": 1, "golden": None}
    index = [{"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": reason}]
    problem = probe._unready_problem("http://127.0.0.1:1", model, index)
    assert problem.final
    assert "No module named 'pandas'" in problem.text
    assert "; no installed package has 'pandas': add the one that does to environment.pipPackages, or" in problem.text


def test_a_model_that_triton_refused_unread_is_a_final_problem() -> None:
    """Its repository index names it, without a version, a state or a reason."""
    model = {"name": "m", "version": 1, "golden": None}
    problem = probe._unready_problem("http://127.0.0.1:1", model, [{"name": "other", "state": "READY"}, {"name": "m"}])
    assert problem.final
    assert problem.text.endswith("received: Triton refused it when it read its repository; its log says why")


def test_a_triton_that_is_not_there_is_a_problem() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"

    (problem,) = probe.run({"triton": {"url": url, "models": []}})

    assert problem.startswith(f"triton: no answer from {url}: ConnectionRefusedError")


def test_a_server_is_ready_or_says_why_not(start: StartServer) -> None:
    server = start("def init(): pass\ndef run(data): pass")
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"

    assert probe.run({"triton": None, "scorer": {"url": server.url}}) == []
    (problem,) = probe.run({"scorer": {"url": nobody}})
    assert problem.startswith(f"scorer: GET {nobody}/ready: expected 200, received no answer")


def run_probe(content: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "probe.json").write_text(content)
    command = [sys.executable, "-S", "-m", "serving.probing.probe", str(folder / "probe.json"), *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)


def test_the_command_needs_the_standard_library_only(triton: Server, tmp_path: Path) -> None:
    ended = run_probe(json.dumps(spec(triton, golden=GOLDEN)), tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_command_marks_what_waiting_cannot_mend_where_it_is_asked_to(triton: Server, tmp_path: Path) -> None:
    content = json.dumps(spec(triton, name="nothing"))
    plain, marked = run_probe(content, tmp_path).stdout, run_probe(content, tmp_path, "--mark-final").stdout

    assert plain.startswith("model nothing")
    assert marked == f"[final] {plain}"


def test_the_command_waits_for_what_may_still_come(tmp_path: Path) -> None:
    ended = run_probe(json.dumps({"scorer": {"url": "http://127.0.0.1:1"}}), tmp_path, "--wait", "0.6")

    assert ended.returncode == 1
    assert ended.stdout.count("\n") == 1


def test_the_command_refuses_a_file_that_is_no_json(tmp_path: Path) -> None:
    ended = run_probe("{", tmp_path)

    assert ended.returncode == 1
    assert "expected a probe file in JSON" in ended.stderr


@pytest.mark.parametrize("limits", [(1.0, 60.0), (1.0, 0.5)], ids=["the wait's end", "a request's time"])
def test_an_inference_that_hangs_ends_with_the_wait_and_has_a_requests_time(limits: tuple[float, float]) -> None:
    released = threading.Event()

    class Hanging(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            released.wait(30)

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hanging) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        started = time.monotonic()
        spec = {"triton": {"url": url, "models": [{"name": "m", "version": 1, "golden": GOLDEN}]}}
        (problem,) = probe.wait(spec, *limits)
        taken = time.monotonic() - started
        released.set()
        server.shutdown()
    assert problem.startswith(f"triton: no answer from {url} to the golden inference of 'm' within ")
    assert f"within {min(limits):g} s (clients' requests end after scoringTimeoutMs)" in problem
    assert taken < probe.INFER_TIMEOUT / 2
