"""Versions of a service, good ones and others, as real servers, and the prover that compares two of them."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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
