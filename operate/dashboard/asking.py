"""The requests that the page's form sends: a model's golden inference, the script's golden request, or one's own.

They go through the front door, with a key that stays in this process.
"""

from __future__ import annotations

import base64
import codecs
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from bundle.probe_questions import declared_versions
from bundle.registry import Registry, RegistryError
from common.errors import UserError
from operate.dashboard.errors import FormError
from serving.probing.golden_check import Answer, Problem, golden_problems, model_path, score_problems
from serving.triton.tensors import decode, encode
from settings.certificate_file import server_name
from settings.golden import golden_request
from settings.schema import Settings
from targets.contract import OpenDoor
from targets.errors import ServiceError
from targets.smoke_check import Question, client

__all__ = ["Asking", "Golden", "Outputs"]

Outputs = Mapping[str, Any]
DEFAULT = "default"
_SCORE = "/score"
_UNTYPED = {"type": "object", "example": {}}
"""The schema of a script that declares no input, as the entry script server writes it."""
_METHODS = ("GET", "POST")
_MOST_BYTES = 8 * 1024 * 1024
_SHOWN_BYTES = 256 * 1024
_SHOWN_HEADERS = ("content-type", "x-request-id", "retry-after", "www-authenticate")
_UNREADABLE = (ValueError, RecursionError)
"""What reading an answer raises that is not what it says it is."""


@dataclass(frozen=True)
class Golden:
    """A request whose answer is known.

    Attributes:
        name: What it asks.
        path: The path at the front door.
        headers: The headers.
        body: The body.
        judge: Says what is wrong with an answer.
    """

    name: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    judge: Callable[[Answer], list[Problem]] = field(repr=False)

    @property
    def shown(self) -> dict[str, Any]:
        """Give it as the form shows it; a body that is no text has none there."""
        try:
            text: str | None = self.body.decode()
        except UnicodeDecodeError:
            text = None
        return {
            "name": self.name,
            "method": "POST",
            "path": self.path,
            "contentType": self.headers.get("Content-Type", ""),
            "body": text if text is None or len(text) <= _SHOWN_BYTES else None,
            "bytes": len(self.body),
        }


@dataclass(frozen=True)
class _Received:
    """An answer as far as it was read: `cut` where there was more, or where it broke off."""

    answer: Answer
    reason: str
    seconds: float
    cut: bool


class Asking:
    """What may be asked of a service, and the keys to ask with.

    Args:
        settings: Reads the stack's settings, which may change.
        read: Reads the stack's outputs with its secrets.
        door: Finds the service's front door, which may move.
    """

    def __init__(
        self, settings: Callable[[], Settings], read: Callable[[], Outputs], door: Callable[[], OpenDoor]
    ) -> None:
        self._read_settings, self._read, self._door = settings, read, door
        self._settings: Settings
        self._outputs: Outputs = {}
        self._golden: Mapping[str, Golden] = {}
        self._refresh()

    def shown(self) -> dict[str, Any]:
        """Give what the form offers as of now; no key is among it.

        Raises:
            UserError: The outputs or the golden request cannot be read.
        """
        self._refresh()
        # The form has no certificate to show.
        certified = {client.name for client in self._settings.clients if client.certificate is not None}
        own = [name for name in self._outputs.get("clientKeys") or () if name not in certified]
        return {
            "service": self._settings.service_name,
            "golden": [golden.shown for golden in self._golden.values()],
            "clients": [DEFAULT, *own] if self._settings.deployment.auth_enabled else [],
            "described": bool(self._outputs.get("swaggerUri")),
        }

    def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request of the form, and give the answer as the page shows it.

        Args:
            asked: `golden` names the request to send as it is. Else `method`, `path`, `contentType` and `body` say it.
                `client` is the client by whose key it goes.

        Raises:
            FormError: There is no such request or client, or it cannot be sent.
            UserError: The front door does not answer, or what `make up` deployed cannot be read.
        """
        golden = None
        if asked.get("golden"):
            golden = self._golden_named(str(asked["golden"]))
            method, path, headers, body = "POST", golden.path, dict(golden.headers), golden.body
        else:
            method, path = str(asked.get("method", "POST")), str(asked.get("path", ""))
            if method not in _METHODS or not path.startswith("/"):
                raise FormError(f"expected {' or '.join(_METHODS)}, and a path that starts with '/'")
            body = _encoded(str(asked.get("body", ""))) if method == "POST" else b""
            headers = {"Content-Type": str(asked.get("contentType") or "application/json")} if body else {}
        name = str(asked.get("client") or DEFAULT)
        received = self._send(name, method, path, headers, body)
        answer = received.answer
        return {
            "status": answer.status,
            "reason": received.reason,
            "milliseconds": received.seconds * 1000,
            "headers": {name: answer.headers[name] for name in _SHOWN_HEADERS if name in answer.headers},
            "body": _readable(answer, received.cut),
            "bytes": len(answer.body),
            "wrong": None if golden is None else _wrong(golden, received),
        }

    def description(self) -> dict[str, Any]:
        """Give the OpenAPI document of `/score`, which the entry script server makes, with the service's own address.

        The golden request is the example in it, where the script declares none.

        Raises:
            ServiceError: There is none.
        """
        received = self._send(DEFAULT, "GET", "/swagger.json?version=3", {}, b"")
        status, body = received.answer.status, received.answer.body
        if status != httpx.codes.OK:
            raise ServiceError(f"/swagger.json answers {status}; an entry script has a description, and Triton none")
        try:
            document = json.loads(body)
        except _UNREADABLE:
            document = None
        if not isinstance(document, dict):
            raise ServiceError(f"/swagger.json answers with other than a JSON object of {_MOST_BYTES} bytes at most")
        _give_example(document, self._golden.get(_SCORE))
        return document | {"servers": [{"url": str(self._outputs.get("swaggerUri", "")).removesuffix("/swagger.json")}]}

    def _refresh(self) -> None:
        """Read the settings, the outputs and the golden requests, which the newest `make up` deployed."""
        settings, outputs = self._read_settings(), self._read()
        self._golden = {golden.name: golden for golden in _goldens(settings, outputs)}
        self._settings, self._outputs = settings, outputs

    def _golden_named(self, name: str) -> Golden:
        if name not in self._golden:
            self._refresh()
        golden = self._golden.get(name)
        if golden is None:
            raise FormError("this golden request is not there any more; load the page anew")
        return golden

    def _send(self, name: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> _Received:
        """Send a request as a client; a second time where an update changed its key or the front door."""
        question, failure = self._question(name), None
        try:
            received = _received(question, method, path, headers, body)
        except ServiceError as error:
            failure = error
        else:
            if received.answer.status != httpx.codes.UNAUTHORIZED:
                return received
        newer = self._newer(name, question)
        if newer != question:  # or the request would run twice where the script itself says 401
            return _received(newer, method, path, headers, body)
        if failure is not None:
            raise failure
        return received

    def _question(self, name: str) -> Question:
        key, settings = self._key(name), self._settings
        scheme = "https" if settings.tls else "http"
        try:
            return Question(
                url=f"{scheme}://127.0.0.1:{self._door().port}",
                server_name=server_name(settings),
                key=SecretStr(key),
                certificate=str(Path(settings.tls.certificate_file).resolve()) if settings.tls else "",
                bundles=(),
                timeout_seconds=settings.deployment.limits.scoring_seconds,
            )
        except (OSError, ValueError) as error:
            raise _cannot_be_asked(error) from None

    def _newer(self, name: str, question: Question) -> Question:
        """Give how to ask as of now; as before where nothing changed, or nothing can be read."""
        try:
            self._refresh()
            return self._question(name)
        except (UserError, OSError, ValueError):
            return question

    def _key(self, name: str) -> str:
        if not self._settings.deployment.auth_enabled:
            return ""
        if self._known_key(name) is None:
            self._refresh()
        key = self._known_key(name)
        if key is None:
            raise FormError("this client has no key of its own; load the page anew")
        return key

    def _known_key(self, name: str) -> str | None:
        if name == DEFAULT:
            return str(self._outputs.get("primaryKey", ""))
        keys = (self._outputs.get("clientKeys") or {}).get(name)
        return None if keys is None else str(keys["primary"])


def _received(question: Question, method: str, path: str, headers: Mapping[str, str], body: bytes) -> _Received:
    try:
        with client(question) as asking:
            began = time.perf_counter()
            with asking.stream(method, path, headers=dict(headers), content=body or None) as found:
                content, cut = _content(found, question.timeout_seconds)
                answer = Answer(found.status_code, content, dict(found.headers))
                return _Received(answer, found.reason_phrase, time.perf_counter() - began, cut)
    except httpx.InvalidURL as error:
        raise FormError(f"the path cannot be sent: {error}") from None
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise _cannot_be_asked(error) from None


def _cannot_be_asked(error: Exception) -> ServiceError:
    return ServiceError(f"the front door cannot be asked: {error}")


def _goldens(settings: Settings, outputs: Outputs) -> Iterator[Golden]:
    golden = golden_request(settings)
    if golden is not None:
        yield _score(golden)
    registry = Registry(settings.registry)
    for bundle in outputs.get("models") or ():
        name, _, version = str(bundle["modelId"]).rpartition(":")
        try:
            registered = registry.get(name, int(version)) if bundle["models"] else None
        except RegistryError:  # the form has one's own requests all the same
            continue
        for model in declared_versions(registered) if registered is not None else ():
            if model["golden"]:
                yield _model(model)


def _score(golden: Mapping[str, Any]) -> Golden:
    if "body" in golden:
        content_type, body = golden["contentType"], base64.b64decode(golden["body"])
    else:
        content_type, body = "application/json", json.dumps(golden["request"]).encode()
    return Golden(
        name=_SCORE,
        path=_SCORE,
        headers={"Content-Type": content_type},
        body=body,
        judge=lambda answer: score_problems(lambda *_: answer, "", golden),
    )


def _model(model: Mapping[str, Any]) -> Golden:
    headers, body = encode(model["golden"], model.get("outputs") or ())
    return Golden(
        name=f"{model['name']}, version {model['version']}",
        path=f"{model_path(model)}/infer",
        headers=headers,
        body=body,
        judge=lambda answer: golden_problems(lambda *_: answer, "", model),
    )


def _give_example(document: dict[str, Any], golden: Golden | None) -> None:
    if golden is None or not golden.headers["Content-Type"].startswith("application/json"):
        return
    try:
        request = json.loads(golden.body)
        json.dumps(request, allow_nan=False)  # a browser reads no NaN
        schemas = document["components"]["schemas"]
        untyped = schemas["ServiceInput"] == _UNTYPED
    except (*_UNREADABLE, KeyError, TypeError):  # a document that people wrote may have any form
        return
    if untyped and len(golden.body) <= _SHOWN_BYTES:
        schemas["ServiceInput"] = {**(_UNTYPED if isinstance(request, dict) else {}), "example": request}


def _encoded(body: str) -> bytes:
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        raise FormError(
            f"character {error.start + 1} of the body is half of one (\\u{ord(body[error.start]):04x}), which UTF-8 "
            "cannot write; expected whole characters"
        ) from None


def _content(answer: httpx.Response, seconds: float) -> tuple[bytes, bool]:
    """Read an answer's body, and tell whether there was more: a script may answer in parts without an end."""
    content, until = bytearray(), time.perf_counter() + seconds
    try:
        for part in answer.iter_bytes():
            content += part
            if len(content) > _MOST_BYTES or time.perf_counter() > until:
                return bytes(content[:_MOST_BYTES]), True
    except httpx.HTTPError:  # it broke off
        if not content:
            raise
        return bytes(content), True
    return bytes(content), False


def _wrong(golden: Golden, received: _Received) -> list[str]:
    if received.cut:
        return ["the answer is cut off, so nobody can say whether it is right"]
    try:
        return [problem.text for problem in golden.judge(received.answer)]
    except _UNREADABLE as error:
        return [f"the answer cannot be read ({type(error).__name__})"]


def _readable(answer: Answer, cut: bool) -> str:
    """Write an answer for people: JSON indented, binary tensors as numbers, and what is no text as its size."""
    text = _text(answer, cut)
    return text[:_SHOWN_BYTES] + "\n(cut off here)" if cut or len(text) > _SHOWN_BYTES else text


def _text(answer: Answer, cut: bool) -> str:
    for read in (lambda: json.loads(answer.body), lambda: decode(answer.headers, answer.body)):
        try:
            return json.dumps(read(), indent=2)
        except _UNREADABLE:
            continue
    try:
        return codecs.utf_8_decode(answer.body, "strict", not cut)[0]
    except UnicodeDecodeError:
        return f"({len(answer.body)} bytes that are no text)"
