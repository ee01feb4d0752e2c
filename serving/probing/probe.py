"""The readiness probe: asks Triton and the entry script server whether a deployment may take traffic.

Every declared model version must be loaded and give its golden answer, and the scorer must be ready. The same checks
run beside Triton on every target, so this module needs nothing but the standard library:

    python -m serving.probing.probe FILE [--wait SECONDS] [--timeout SECONDS] [--mark-final]

FILE is JSON:

    {"triton": {"url": "http://127.0.0.1:8000", "models": [{"name": "digits", "version": 1, "golden": {...}}]},
     "scorer": {"url": "http://127.0.0.1:5001", "golden": {"request": ..., "response": ...}}}

`triton`, `scorer` and `golden` may be null. A golden inference is {"request": body of Triton's infer request,
"response": {"outputs": [...]}, "tolerance": {"relative": 1e-4, "absolute": 1e-5}}; a model may also have `inputs` and
`outputs`, its declared interface. `golden_check` says which answers are right. The exit status is 0 when
everything is ready, and 1 otherwise. One line for each problem says what the probe asked, expected and received.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.probing.golden_check import (
    Answer,
    Ask,
    Problem,
    Unreachable,
    excerpt,
    model_path,
    model_problems,
    score_problems,
)
from serving.probing.marking import marked
from serving.script.advice import import_advice

READY_TIMEOUT = 5.0
INFER_TIMEOUT = 60.0
POLL_SECONDS = 0.25
# Marks the requests that a deployment sends to prove itself, so that collected data tell them from clients' requests.
CHECK_HEADER = "x-service-check"
# The header's value where data collection leaves a request out: a load would fill the day. No client gets that, see
# `serving.script.scoring`.
UNRECORDED = "unrecorded"


def run(spec: Mapping[str, Any]) -> list[str]:
    """Probe a deployment once, and give its problems, one line each; an empty list says that it is ready."""
    return [problem.text for problem in problems(spec)]


def wait(spec: Mapping[str, Any], seconds: float, infer_timeout: float = INFER_TIMEOUT) -> list[str]:
    """Probe a deployment until it is ready, time is over, or a problem is final.

    Args:
        spec: the deployment, in the form of the probe's file.
        seconds: how long to wait.
        infer_timeout: the seconds that a golden answer may take.

    Returns:
        The problems that are left, one line each.
    """
    return [problem.text for problem in _awaited(spec, seconds, infer_timeout)]


def _awaited(spec: Mapping[str, Any], seconds: float, infer_timeout: float) -> list[Problem]:
    deadline = time.monotonic() + seconds
    while True:
        left = max(1.0, deadline - time.monotonic())
        found = problems(spec, infer_timeout=min(infer_timeout, left) if seconds else infer_timeout)
        if not found or any(problem.final for problem in found) or time.monotonic() >= deadline:
            return found
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def problems(spec: Mapping[str, Any], *, infer_timeout: float = INFER_TIMEOUT) -> list[Problem]:
    """Probe a deployment once; a golden answer may take `infer_timeout` seconds."""
    found: list[Problem] = []
    if spec.get("triton"):
        found += triton_problems(spec["triton"], infer_timeout)
    if spec.get("scorer"):
        # A script that needs Triton cannot answer rightly before Triton is ready.
        found += scorer_problems(spec["scorer"], infer_timeout, with_golden=not found)
    return found


def scorer_problems(scorer: Mapping[str, Any], infer_timeout: float, *, with_golden: bool) -> list[Problem]:
    """Probe the entry script server: whether it is ready, and answers its golden request rightly."""
    url = scorer["url"].rstrip("/") + "/ready"
    try:
        status, body = request(url, timeout=READY_TIMEOUT)
    except Unreachable as error:
        return [Problem(f"scorer: GET {url}: expected 200, received no answer: {error}")]
    if status != 200:
        return [Problem(f"scorer: GET {url}: expected 200, received {status}: {excerpt(body)}")]
    if not (with_golden and scorer.get("golden")):
        return []
    url = scorer["url"].rstrip("/")
    try:
        return score_problems(asking(url, infer_timeout), url, scorer["golden"])
    except Unreachable as error:
        return [Problem(f"scorer: golden request: POST {url}/score: expected 200, received no answer: {error}")]


def triton_problems(triton: Mapping[str, Any], infer_timeout: float) -> list[Problem]:
    """Probe Triton: whether each declared version of a model is loaded, and gives its golden answer."""
    url = triton["url"].rstrip("/")
    models = triton.get("models") or []
    try:
        status, _ = request(f"{url}/v2/health/live", timeout=READY_TIMEOUT)
        if status != 200:
            # Triton answers once it is initialised: when it then is not live, it has failed or is exiting.
            return [Problem(f"triton: GET {url}/v2/health/live: expected 200, received {status}", final=True)]
        unready = [model for model in models if not _is_ready(url, model)]
        found = [_unready_problem(url, model, _index(url)) for model in unready]
        for model in models:
            if model not in unready:
                found += _judged(url, model, infer_timeout)
    except Unreachable as error:
        return [Problem(f"triton: no answer from {url}: {error}")]
    return found


def _judged(url: str, model: Mapping[str, Any], infer_timeout: float) -> list[Problem]:
    try:
        return model_problems(asking(url, infer_timeout), url, model)
    except Unreachable as error:
        late = isinstance(error.__cause__, TimeoutError)
        hint = f" within {infer_timeout:g} s (clients' requests end after scoringTimeoutMs)" if late else ""
        return [Problem(f"triton: no answer from {url} to the golden inference of '{model['name']}'{hint}: {error}")]


def asking(url: str, timeout: float) -> Ask:
    """Make the function by which the judge asks the server at a URL."""

    def ask(method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        return send(f"{url}{path}", method, headers, body, timeout=timeout)

    return ask


def request(url: str, *, method: str = "GET", body: Any = None, timeout: float) -> tuple[int, bytes]:
    """Send one HTTP request, with a JSON body or none.

    Returns:
        The answer's status and body.

    Raises:
        Unreachable: the server did not answer, or not in HTTP.
    """
    content = None if body is None else json.dumps(body).encode()
    answer = send(url, method, {} if body is None else {"Content-Type": "application/json"}, content, timeout=timeout)
    return answer.status, answer.body


def send(url: str, method: str, headers: Mapping[str, str], body: bytes | None, *, timeout: float) -> Answer:
    """Send one HTTP request, with the header that marks it as a check.

    Raises:
        Unreachable: the server did not answer, or not in HTTP.
    """
    parts = urllib.parse.urlsplit(url)
    https = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if https else http.client.HTTPConnection)(
        parts.hostname or "", parts.port, timeout=timeout
    )
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    try:
        # A kept-alive connection would delay Triton's own shutdown.
        connection.request(method, target, body, {**headers, "Connection": "close", CHECK_HEADER: "true"})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), dict(answer.getheaders()))
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _is_ready(url: str, model: Mapping[str, Any]) -> bool:
    status, _ = request(f"{url}{model_path(model)}/ready", timeout=READY_TIMEOUT)
    return status == 200


def _index(url: str) -> list[dict[str, Any]]:
    """Ask for Triton's repository index: the state of each version of a model, and why it failed."""
    status, body = request(f"{url}/v2/repository/index", method="POST", body={}, timeout=READY_TIMEOUT)
    return json.loads(body) if status == 200 else []


def _unready_problem(url: str, model: Mapping[str, Any], index: Sequence[Mapping[str, Any]]) -> Problem:
    name, version = model["name"], str(model["version"])
    asked = f"model {name} version {version}: GET {url}{model_path(model)}/ready: expected ready"
    entries = [entry for entry in index if entry.get("name") == name]
    exact = [entry for entry in entries if entry.get("version") == version]
    if not entries and index:
        known = ", ".join(sorted({str(entry.get("name")) for entry in index}))
        return Problem(f"{asked}, received: Triton's repository holds no such model, only {known}", final=True)
    # Triton lists a model that fails before it reads the versions once, without a version.
    for entry in exact or [entry for entry in entries if not entry.get("version")]:
        if not entry.get("state"):  # Triton reads the repository before it answers, and not again
            return Problem(
                f"{asked}, received: Triton refused it when it read its repository; its log says why", final=True
            )
        state, reason = entry["state"], " ".join(str(entry.get("reason", "")).split())
        failed = state == "UNAVAILABLE" and reason not in ("", "unloaded")
        words = ": ".join(text for text in (state, reason) if text)
        if advice := import_advice(reason):
            words += f"; {advice}, or to the environment that the model brings"
        return Problem(f"{asked}, received state {words}", final=failed)
    if entries:
        loaded = ", ".join(f"{entry.get('version')} ({entry.get('state', 'UNKNOWN')})" for entry in entries)
        return Problem(f"{asked}, received: Triton knows these versions: {loaded}")
    return Problem(f"{asked}, received: not ready, and no repository index")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe from the command line, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.probing.probe", description="Is this deployment ready?")
    parser.add_argument("file", type=Path, help="what to probe, as JSON")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="poll until ready, at most this long"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=INFER_TIMEOUT,
        metavar="SECONDS",
        help=f"for one golden answer: as long as a client's request has, {INFER_TIMEOUT:g} s by default",
    )
    parser.add_argument("--mark-final", action="store_true", help="mark the problems that waiting cannot mend")
    options = parser.parse_args(arguments)
    try:
        spec = json.loads(options.file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{options.file}: expected a probe file in JSON: {error}", file=sys.stderr)
        return 1
    found = _awaited(spec, options.wait, options.timeout)
    for line in marked(found) if options.mark_final else found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
