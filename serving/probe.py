"""The readiness probe: asks Triton and the entry script server whether a deployment may take traffic.

Every declared model version must be loaded and give its golden answer, and the scorer must be ready. The same checks
run beside Triton on every target, so this module needs nothing but the standard library:

    python -m serving.probe FILE [--wait SECONDS]

FILE is JSON:

    {"triton": {"url": "http://127.0.0.1:8000", "models": [{"name": "digits", "version": 1, "golden": {...}}]},
     "scorer": {"url": "http://127.0.0.1:5001", "golden": {"request": ..., "response": ...}}}

`triton`, `scorer` and `golden` may be null. A golden inference is {"request": body of Triton's infer request,
"response": {"outputs": [...]}, "tolerance": {"relative": 1e-4, "absolute": 1e-5}}. The exit status is 0 when
everything is ready and 1 otherwise, with one line for each problem: what was asked, expected and received.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_TIMEOUT = 5.0
INFER_TIMEOUT = 60.0
POLL_SECONDS = 0.25
# Outputs whose values have no exact decimal form are compared within the golden inference's tolerance.
FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Problem:
    """One thing that is not ready; `final` when waiting longer cannot mend it."""

    text: str
    final: bool = False

    def __str__(self) -> str:
        return self.text


class Unreachable(Exception):
    """Nobody answered, or not in HTTP."""


def run(spec: Mapping[str, Any]) -> list[str]:
    """The problems of a deployment, one line each; an empty list says that it is ready."""
    return [problem.text for problem in problems(spec)]


def wait(spec: Mapping[str, Any], seconds: float) -> list[str]:
    """The problems left when everything is ready, when `seconds` are over, or when a model has failed for good."""
    deadline = time.monotonic() + seconds
    while True:
        left = max(1.0, deadline - time.monotonic())
        found = problems(spec, infer_timeout=min(INFER_TIMEOUT, left) if seconds else INFER_TIMEOUT)
        if not found or any(problem.final for problem in found) or time.monotonic() >= deadline:
            return [problem.text for problem in found]
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def problems(spec: Mapping[str, Any], *, infer_timeout: float = INFER_TIMEOUT) -> list[Problem]:
    """The problems of a deployment, as :class:`Problem`; a golden answer may take `infer_timeout` seconds."""
    found: list[Problem] = []
    if spec.get("triton"):
        found += triton_problems(spec["triton"], infer_timeout)
    if spec.get("scorer"):
        # A script that asks a Triton which is not ready yet does not answer wrongly.
        found += scorer_problems(spec["scorer"], infer_timeout, with_golden=not found)
    return found


def scorer_problems(scorer: Mapping[str, Any], infer_timeout: float, *, with_golden: bool) -> list[Problem]:
    """The entry script server's problem, if it has one: it is not ready, or answers its golden request wrongly."""
    url = scorer["url"].rstrip("/") + "/ready"
    try:
        status, body = request(url, timeout=READY_TIMEOUT)
    except Unreachable as error:
        return [Problem(f"scorer: GET {url}: expected 200, received no answer: {error}")]
    if status != 200:
        return [Problem(f"scorer: GET {url}: expected 200, received {status}: {_excerpt(body)}")]
    if not (with_golden and scorer.get("golden")):
        return []
    return golden_score_problems(scorer["url"].rstrip("/"), scorer["golden"], infer_timeout)


def golden_score_problems(url: str, golden: Mapping[str, Any], infer_timeout: float) -> list[Problem]:
    """The difference between the script's golden answer and what it answers now; a full server is none."""
    asked = f"scorer: golden request: POST {url}/score"
    try:
        status, body = request(f"{url}/score", method="POST", body=golden["request"], timeout=infer_timeout)
    except Unreachable as error:
        return [Problem(f"{asked}: expected 200, received no answer: {error}")]
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return []
    if status != 200:
        return [Problem(f"{asked}: expected 200, received {status}: {_excerpt(body)}", final=True)]
    if alike(golden["response"], received_json(body)):
        return []
    expected = _excerpt(json.dumps(golden["response"]).encode())
    return [Problem(f"{asked}: expected {expected}, received {_excerpt(body)}", final=True)]


def received_json(body: bytes) -> object:
    """An answer's JSON value, or its text where it is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def alike(expected: object, received: object) -> bool:
    """Tell whether two JSON values are the same, numbers within the default tolerance."""
    if isinstance(expected, dict) and isinstance(received, dict):
        return expected.keys() == received.keys() and all(alike(v, received[k]) for k, v in expected.items())
    if isinstance(expected, list) and isinstance(received, list):
        return len(expected) == len(received) and all(map(alike, expected, received))
    if {type(expected), type(received)} <= {int, float}:
        return _close(expected, received, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE)
    return expected == received


def triton_problems(triton: Mapping[str, Any], infer_timeout: float) -> list[Problem]:
    """The problems of Triton's declared model versions: not loaded, or a wrong golden answer."""
    url = triton["url"].rstrip("/")
    models = triton.get("models") or []
    try:
        status, _ = request(f"{url}/v2/health/live", timeout=READY_TIMEOUT)
        if status != 200:
            # It answers once it is initialised: a server that answers and is not live has failed, or is exiting.
            return [Problem(f"triton: GET {url}/v2/health/live: expected 200, received {status}", final=True)]
        unready = [model for model in models if not _is_ready(url, model)]
        found = [_unready_problem(url, model, _index(url)) for model in unready]
        for model in models:
            if model not in unready and model.get("golden"):
                found += golden_problems(url, model, infer_timeout)
    except Unreachable as error:
        return [Problem(f"triton: no answer from {url}: {error}")]
    return found


def golden_problems(url: str, model: Mapping[str, Any], infer_timeout: float = INFER_TIMEOUT) -> list[Problem]:
    """The differences between a model's golden answer and what Triton at `url` answers now."""
    golden = model["golden"]
    asked = f"{_model_url(url, model)}/infer"
    status, body = request(asked, method="POST", body=golden["request"], timeout=infer_timeout)
    name = f"model {model['name']} version {model['version']}: golden inference"
    if status != 200:
        text = f"{name}: POST {asked}: expected 200, received {status}: {_excerpt(body)}"
        return [Problem(text, final=status == http.HTTPStatus.BAD_REQUEST)]
    tolerance = golden.get("tolerance") or {}
    differences = compare_outputs(
        golden["response"]["outputs"],
        json.loads(body).get("outputs", []),
        relative=float(tolerance.get("relative", RELATIVE_TOLERANCE)),
        absolute=float(tolerance.get("absolute", ABSOLUTE_TOLERANCE)),
    )
    # The model is loaded: the same weights answer the same however long one waits.
    return [Problem(f"{name}: POST {asked}: {difference}", final=True) for difference in differences]


def compare_outputs(
    expected: Sequence[Mapping[str, Any]], received: Sequence[Mapping[str, Any]], *, relative: float, absolute: float
) -> Iterator[str]:
    """Say, output by output, where `received` differs from `expected`.

    Strings, booleans and integers must be equal; floats may differ by `absolute + relative * |expected|`, and NaN is
    equal to NaN. Only the first differing value of an output is named.
    """
    by_name = {output["name"]: output for output in received}
    for want in expected:
        name = want["name"]
        have = by_name.get(name)
        if have is None:
            yield f"output {name!r}: expected it in the answer, received {sorted(by_name) or 'no output'}"
            continue
        for key in ("datatype", "shape"):
            if key in want and want[key] != have.get(key):
                yield f"output {name!r}: expected {key} {want[key]}, received {have.get(key)}"
                break
        else:
            values, answers = list(_flat(want.get("data", []))), list(_flat(have.get("data", [])))
            if len(values) != len(answers):
                yield f"output {name!r}: expected {len(values)} values, received {len(answers)}"
                continue
            is_float = want.get("datatype", have.get("datatype")) in FLOATS
            for position, (value, answer) in enumerate(zip(values, answers, strict=True)):
                if is_float and _close(value, answer, relative, absolute):
                    continue
                if not is_float and value == answer and type(value) is type(answer):
                    continue
                within = f" within {absolute:g} + {relative:g} of the value" if is_float else ""
                yield f"output {name!r}, value {position}: expected {value!r}{within}, received {answer!r}"
                break


def request(url: str, *, method: str = "GET", body: Any = None, timeout: float) -> tuple[int, bytes]:
    """The status and body of the answer to one HTTP request. Raises :class:`Unreachable`."""
    parts = urllib.parse.urlsplit(url)
    https = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if https else http.client.HTTPConnection)(
        parts.hostname or "", parts.port, timeout=timeout
    )
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    # A kept-alive connection would delay Triton's own shutdown.
    headers = {"Connection": "close"}
    content = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(body).encode()
    try:
        connection.request(method, target, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _model_url(url: str, model: Mapping[str, Any]) -> str:
    return f"{url}/v2/models/{urllib.parse.quote(model['name'], safe='')}/versions/{model['version']}"


def _is_ready(url: str, model: Mapping[str, Any]) -> bool:
    status, _ = request(f"{_model_url(url, model)}/ready", timeout=READY_TIMEOUT)
    return status == 200


def _index(url: str) -> list[dict[str, Any]]:
    """Triton's repository index: the state of each model version, and the reason why one failed."""
    status, body = request(f"{url}/v2/repository/index", method="POST", body={}, timeout=READY_TIMEOUT)
    return json.loads(body) if status == 200 else []


def _unready_problem(url: str, model: Mapping[str, Any], index: Sequence[Mapping[str, Any]]) -> Problem:
    name, version = model["name"], str(model["version"])
    asked = f"model {name} version {version}: GET {_model_url(url, model)}/ready: expected ready"
    entries = [entry for entry in index if entry.get("name") == name]
    exact = [entry for entry in entries if entry.get("version") == version]
    if not entries and index:
        known = ", ".join(sorted({str(entry.get("name")) for entry in index}))
        return Problem(f"{asked}, received: Triton's repository holds no such model, only {known}", final=True)
    # A model that fails before its versions are read is listed once, without a version.
    for entry in exact or [entry for entry in entries if not entry.get("version")]:
        if not entry.get("state"):  # it read the repository before it answered anybody, and will not again
            return Problem(
                f"{asked}, received: Triton refused it when it read its repository; its log says why", final=True
            )
        state, reason = entry["state"], " ".join(str(entry.get("reason", "")).split())
        failed = state == "UNAVAILABLE" and reason not in ("", "unloaded")
        return Problem(f"{asked}, received state {state}" + (f": {reason}" if reason else ""), final=failed)
    if entries:
        loaded = ", ".join(f"{entry.get('version')} ({entry.get('state', 'UNKNOWN')})" for entry in entries)
        return Problem(f"{asked}, received: Triton knows these versions: {loaded}")
    return Problem(f"{asked}, received: not ready, and no repository index")


def _close(expected: Any, received: Any, relative: float, absolute: float) -> bool:
    try:
        want, have = _number(expected), _number(received)
    except (TypeError, ValueError):
        return False
    if math.isnan(want) or math.isnan(have) or math.isinf(want) or math.isinf(have):
        return want == have or (math.isnan(want) and math.isnan(have))
    return abs(want - have) <= absolute + relative * abs(want)


def _number(value: Any) -> float:
    """A float of a JSON answer: JSON has no NaN, so some writers say null and others write the name."""
    return math.nan if value is None else float(value)


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from _flat(item)
    else:
        yield data


def _excerpt(body: bytes, limit: int = 600) -> str:
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        text = str(parsed.get("error") or parsed.get("message") or text)
    except (ValueError, AttributeError):
        pass
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit] + "…"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe from the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.probe", description="Is this deployment ready?")
    parser.add_argument("file", type=Path, help="what to probe, as JSON")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="poll until ready, at most this long"
    )
    options = parser.parse_args(arguments)
    try:
        spec = json.loads(options.file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{options.file}: expected a probe file in JSON: {error}", file=sys.stderr)
        return 1
    found = wait(spec, options.wait)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
