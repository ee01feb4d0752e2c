"""The judge of a service: asks its models and its script, and says whether the answers are right.

The probe asks beside Triton, before a generation gets traffic. The smoke check asks through the front door, after the
generation got it. Both ask by these functions, with an `Ask` of their own, so that they agree on every answer.

This module needs nothing but the standard library.
"""

from __future__ import annotations

import base64
import http
import json
import math
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.errors import ServingError
from serving.triton.tensors import decode, encode, flat

# Values of these types have no exact decimal form: they may differ within the golden inference's tolerance.
FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Answer:
    """The answer to one HTTP request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Ask = Callable[[str, str, Mapping[str, str], bytes | None], Answer]
"""Sends a request (method, path, headers, body) to the service; raises :class:`Unreachable`."""


@dataclass(frozen=True)
class Problem:
    """One fault of a service; `final` where waiting longer does not mend it."""

    text: str
    final: bool = False

    def __str__(self) -> str:
        return self.text


class Unreachable(ServingError):
    """Nobody answered, or not in HTTP."""


def model_path(model: Mapping[str, Any]) -> str:
    """Write the path of a model's version in Triton's protocol."""
    return f"/v2/models/{urllib.parse.quote(model['name'], safe='')}/versions/{model['version']}"


def model_problems(ask: Ask, url: str, model: Mapping[str, Any]) -> list[Problem]:
    """Judge a loaded version of a model by its interface, and by its golden answer where it has one.

    Args:
        ask: asks Triton.
        url: Triton's address, which the problems name.
        model: has `name` and `version`; `golden`, `inputs` and `outputs` may be missing or empty.

    Returns:
        The problems; none where the model is as declared.

    Raises:
        Unreachable: Triton did not answer.
    """
    found = interface_problems(ask, url, model)
    if not found and model.get("golden"):
        found = golden_problems(ask, url, model)
    return found


def interface_problems(ask: Ask, url: str, model: Mapping[str, Any]) -> list[Problem]:
    """Compare the declared inputs and outputs with Triton's metadata; see `model_problems`."""
    declared = {kind: model.get(kind) or () for kind in ("inputs", "outputs")}
    if not any(declared.values()):
        return []
    path = model_path(model)
    name = f"model {model['name']} version {model['version']}: interface: GET {url}{path}"
    answer = ask("GET", path, {}, None)
    if answer.status != http.HTTPStatus.OK:
        return [Problem(f"{name}: expected 200, received {answer.status}: {excerpt(answer.body)}")]
    try:
        metadata = json.loads(answer.body)
        served = {kind: {tensor["name"]: tensor for tensor in metadata[kind]} for kind in declared}
    except (ValueError, KeyError, TypeError):
        return [Problem(f"{name}: expected a model's metadata, received {excerpt(answer.body)}")]
    return [
        Problem(f"{name}: {kind[:-1]} '{tensor['name']}': expected {expected}, received {received}", final=True)
        for kind, tensors in declared.items()
        for tensor in tensors
        for expected, received in [(_form(tensor), _form(served[kind].get(tensor["name"])))]
        if expected != received
    ]


def _form(tensor: Mapping[str, Any] | None) -> str:
    return f"{tensor['datatype']} {[int(size) for size in tensor['shape']]}" if tensor else "no such tensor"


def golden_problems(ask: Ask, url: str, model: Mapping[str, Any]) -> list[Problem]:
    """Compare a model's golden answer with the answer that Triton gives now; see `model_problems`."""
    golden = model["golden"]
    path = f"{model_path(model)}/infer"
    name = f"model {model['name']} version {model['version']}: golden inference: POST {url}{path}"
    headers, body = encode(golden, model.get("outputs") or ())
    answer = ask("POST", path, headers, body)
    if answer.status != http.HTTPStatus.OK:
        text = f"{name}: expected 200, received {answer.status}: {excerpt(answer.body)}"
        return [Problem(text + _origin(model), final=_is_refusal(answer))]
    try:
        received = decode(answer.headers, answer.body)
    except ValueError:
        return [Problem(f"{name}: expected an answer to an inference, received {excerpt(answer.body)}")]
    tolerance = golden.get("tolerance") or {}
    differences = compare_outputs(
        golden["response"]["outputs"],
        received,
        relative=float(tolerance.get("relative", RELATIVE_TOLERANCE)),
        absolute=float(tolerance.get("absolute", ABSOLUTE_TOLERANCE)),
        classified=_classified(golden["request"]),
    )
    # The model is loaded: the same weights give the same answer, however long the probe waits.
    return [Problem(f"{name}: {difference}{_origin(model)}", final=True) for difference in differences]


def _is_refusal(answer: Answer) -> bool:
    """Tell whether a loaded model will answer so again: not where its process just died, or a server is full."""
    refusals = (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    failed = answer.status == http.HTTPStatus.INTERNAL_SERVER_ERROR and b"is not healthy" not in answer.body
    return failed or answer.status in refusals


def _origin(model: Mapping[str, Any]) -> str:
    """Say where a golden inference came from that nobody wrote, and what to do about it."""
    derived = model["golden"].get("derived")
    if not derived:
        return ""
    return (
        f"; nobody wrote this golden inference: it was derived from the ONNX file with {derived['with']} on random "
        f"input; if the model's answer is right, put a request and a response of your own into "
        f"triton/{model['name']}/golden.json"
    )


def _classified(request: Mapping[str, Any]) -> frozenset[str]:
    """Name the outputs that a request asks for as classes, by Triton's classification extension."""
    return frozenset(
        output["name"]
        for output in request.get("outputs") or ()
        if (output.get("parameters") or {}).get("classification")
    )


def compare_outputs(
    expected: Sequence[Mapping[str, Any]],
    received: Sequence[Mapping[str, Any]],
    *,
    relative: float,
    absolute: float,
    classified: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Say, output by output, where `received` differs from `expected`.

    Strings, booleans and integers must be equal. Floats may differ by `absolute + relative * |expected|`, and NaN
    equals NaN. The same holds for the scores of classes, `<score>:<index>:<label>`.

    Args:
        expected: the golden outputs, as in Triton's answer.
        received: the outputs that Triton gives now.
        relative: the relative part of the tolerance.
        absolute: the absolute part of the tolerance.
        classified: the outputs that the request asks for as classes.

    Yields:
        A sentence for each output that differs; it names the first value that does.
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
            values, answers = list(flat(want.get("data", []))), list(flat(have.get("data", [])))
            if len(values) != len(answers):
                yield f"output {name!r}: expected {len(values)} values, received {len(answers)}"
                continue
            is_float = want.get("datatype", have.get("datatype")) in FLOATS
            for position, (value, answer) in enumerate(zip(values, answers, strict=True)):
                if is_float and _close(value, answer, relative, absolute):
                    continue
                if not is_float and value == answer and type(value) is type(answer):
                    continue
                if name in classified and _same_class(value, answer, relative, absolute):
                    continue
                within = f" within {absolute:g} + {relative:g} of the value" if is_float or name in classified else ""
                yield f"output {name!r}, value {position}: expected {value!r}{within}, received {answer!r}"
                break


def score_problems(ask: Ask, url: str, golden: Mapping[str, Any]) -> list[Problem]:
    """Compare the script's golden answer with the answer that it gives now; a server that is full has no problem.

    Args:
        ask: asks the scorer.
        url: the scorer's address, which the problems name.
        golden: has `response` and `request`, both JSON; or `body` (Base64) and `contentType` in place of `request`.

    Returns:
        The problem, if any.

    Raises:
        Unreachable: the scorer did not answer.
    """
    name = f"scorer: golden request: POST {url}/score"
    if "body" in golden:
        content_type, body = golden["contentType"], base64.b64decode(golden["body"])
    else:
        content_type, body = "application/json", json.dumps(golden["request"]).encode()
    answer = ask("POST", "/score", {"Content-Type": content_type}, body)
    if answer.status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return []
    if answer.status != http.HTTPStatus.OK:
        text = f"{name}: expected 200, received {answer.status}: {excerpt(answer.body)}"
        return [Problem(text, final=True)]
    if alike(golden["response"], received_json(answer.body)):
        return []
    expected = excerpt(json.dumps(golden["response"]).encode())
    return [Problem(f"{name}: expected {expected}, received {excerpt(answer.body)}", final=True)]


def received_json(body: bytes) -> object:
    """Read an answer as JSON, or as text where it is no JSON."""
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


def _same_class(expected: Any, received: Any, relative: float, absolute: float) -> bool:
    if not isinstance(expected, str) or not isinstance(received, str):
        return False
    (score, *wanted), (answered, *had) = expected.split(":"), received.split(":")
    return wanted == had and _close(score, answered, relative, absolute)


def _close(expected: Any, received: Any, relative: float, absolute: float) -> bool:
    try:
        want, have = _number(expected), _number(received)
    except (TypeError, ValueError):
        return False
    if math.isnan(want) or math.isnan(have) or math.isinf(want) or math.isinf(have):
        return want == have or (math.isnan(want) and math.isnan(have))
    return abs(want - have) <= absolute + relative * abs(want)


def _number(value: Any) -> float:
    """Read a float of a JSON answer: JSON has no NaN, so some servers write null, and others the name."""
    return math.nan if value is None else float(value)


def excerpt(body: bytes, limit: int = 600) -> str:
    """Take a body's error text, or its beginning, as one line."""
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        text = str(parsed.get("error") or parsed.get("message") or text)
    except (ValueError, AttributeError, RecursionError):
        pass
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit] + "…"
